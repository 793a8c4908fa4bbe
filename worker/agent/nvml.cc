#include "worker/agent/nvml.h"

#include <dlfcn.h>

#include <cstdlib>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

// As nvml.h has them.
constexpr int kNvmlSuccess = 0, kNvmlNoPermission = 4, kNvmlDriverNotLoaded = 9, kNvmlLibraryMismatch = 18,
              kNvmlGpuIsLost = 15;
constexpr unsigned kNvmlTextBytes = 96;
struct NvmlMemory {
  unsigned long long total, free, used;
};
struct NvmlUtilization {
  unsigned gpu, memory;
};
using NvmlDevice = void*;

const char* WhatToDo(int result) {
  switch (result) {
    case kNvmlDriverNotLoaded:
      return "the driver's kernel module is not loaded: modprobe nvidia, or install the driver";
    case kNvmlLibraryMismatch:
      return "the driver was updated and its kernel module was not: restart the machine";
    case kNvmlNoPermission:
      return "this user, or this container, may not open /dev/nvidia*";
    case kNvmlGpuIsLost:
      return "a GPU fell off the bus: dmesg shows its Xid; it needs a reset or the machine a restart";
    default:
      return "nvidia-smi and the kernel's log (Xid) say more";
  }
}

}  // namespace

struct Nvml::Calls {
  int (*Init)() = nullptr;
  int (*Shutdown)() = nullptr;
  const char* (*ErrorString)(int) = nullptr;
  int (*DriverVersion)(char*, unsigned) = nullptr;
  int (*CudaDriverVersion)(int*) = nullptr;
  int (*Count)(unsigned*) = nullptr;
  int (*ByIndex)(unsigned, NvmlDevice*) = nullptr;
  int (*ByUuid)(const char*, NvmlDevice*) = nullptr;
  int (*Uuid)(NvmlDevice, char*, unsigned) = nullptr;
  int (*Name)(NvmlDevice, char*, unsigned) = nullptr;
  int (*MemoryInfo)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*Utilization)(NvmlDevice, NvmlUtilization*) = nullptr;
  int (*Temperature)(NvmlDevice, int sensor, unsigned*) = nullptr;
  int (*Power)(NvmlDevice, unsigned* milliwatts) = nullptr;
  int (*Energy)(NvmlDevice, unsigned long long* millijoules) = nullptr;
};

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Load() {
  const char* named = std::getenv("LOCKSTEP_NVML");
  const char* file = named != nullptr ? named : "libnvidia-ml.so.1";
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);  // it stays: it may have threads of its own
  if (library == nullptr) {
    return absl::NotFoundError(absl::StrCat("no NVIDIA driver: its library cannot be loaded: ", dlerror(),
                                            "; install the driver, or name the file in LOCKSTEP_NVML"));
  }
  auto calls = std::make_unique<Calls>();
  std::string missing;
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) missing = name;
  };
  find("nvmlInit_v2", calls->Init);
  find("nvmlShutdown", calls->Shutdown);
  find("nvmlErrorString", calls->ErrorString);
  find("nvmlSystemGetDriverVersion", calls->DriverVersion);
  find("nvmlSystemGetCudaDriverVersion_v2", calls->CudaDriverVersion);
  find("nvmlDeviceGetCount_v2", calls->Count);
  find("nvmlDeviceGetHandleByIndex_v2", calls->ByIndex);
  find("nvmlDeviceGetHandleByUUID", calls->ByUuid);
  find("nvmlDeviceGetUUID", calls->Uuid);
  find("nvmlDeviceGetName", calls->Name);
  find("nvmlDeviceGetMemoryInfo", calls->MemoryInfo);
  find("nvmlDeviceGetUtilizationRates", calls->Utilization);
  find("nvmlDeviceGetTemperature", calls->Temperature);
  find("nvmlDeviceGetPowerUsage", calls->Power);
  find("nvmlDeviceGetTotalEnergyConsumption", calls->Energy);
  if (!missing.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, " has no ", missing, ": it is no NVML, or of a driver that is too old; update the driver"));
  }
  const int result = calls->Init();
  std::unique_ptr<Nvml> nvml(new Nvml(std::move(calls)));
  if (result != kNvmlSuccess) return nvml->Explain("nvmlInit_v2", result);
  char text[kNvmlTextBytes] = {};
  if (nvml->calls_->DriverVersion(text, kNvmlTextBytes) == kNvmlSuccess) nvml->driver_ = text;
  int version = 0;
  if (nvml->calls_->CudaDriverVersion(&version) == kNvmlSuccess) nvml->cuda_major_ = version / 1000;
  return nvml;
}

Nvml::Nvml(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}
Nvml::~Nvml() { calls_->Shutdown(); }

absl::Status Nvml::Explain(const char* call, int result) const {
  return absl::FailedPreconditionError(
      absl::StrCat(call, ": ", calls_->ErrorString(result), " (", result, "); ", WhatToDo(result)));
}

absl::StatusOr<std::vector<Gpu>> Nvml::Gpus() const {
  unsigned count = 0;
  if (const int result = calls_->Count(&count); result != kNvmlSuccess) {
    return Explain("nvmlDeviceGetCount_v2", result);
  }
  std::vector<Gpu> gpus;
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice device = nullptr;
    NvmlMemory memory = {};
    char uuid[kNvmlTextBytes] = {}, name[kNvmlTextBytes] = {};
    int result = calls_->ByIndex(i, &device);
    if (result == kNvmlSuccess) result = calls_->Uuid(device, uuid, kNvmlTextBytes);
    if (result == kNvmlSuccess) result = calls_->Name(device, name, kNvmlTextBytes);
    if (result == kNvmlSuccess) result = calls_->MemoryInfo(device, &memory);
    if (result != kNvmlSuccess) {
      return absl::UnavailableError(absl::StrCat("GPU ", i, " of ", count,
                                                 " does not answer: ", calls_->ErrorString(result), " (",
                                                 result, "); ", WhatToDo(result)));
    }
    gpus.push_back({static_cast<int>(i), uuid, name, static_cast<int64_t>(memory.total)});
  }
  return gpus;
}

GpuReadings Nvml::Read(const std::string& uuid) const {
  GpuReadings readings;
  NvmlDevice device = nullptr;
  if (calls_->ByUuid(uuid.c_str(), &device) != kNvmlSuccess) return readings;
  NvmlUtilization utilization = {};
  NvmlMemory memory = {};
  unsigned number = 0;
  unsigned long long millijoules = 0;
  if (calls_->Utilization(device, &utilization) == kNvmlSuccess) {
    readings.utilization = utilization.gpu / 100.0;
  }
  if (calls_->MemoryInfo(device, &memory) == kNvmlSuccess) {
    readings.used_memory = static_cast<double>(memory.used);
  }
  if (calls_->Temperature(device, 0, &number) == kNvmlSuccess) readings.temperature = number;
  if (calls_->Power(device, &number) == kNvmlSuccess) readings.power = number / 1e3;
  if (calls_->Energy(device, &millijoules) == kNvmlSuccess) {
    readings.energy = static_cast<double>(millijoules) / 1e3;
  }
  return readings;
}

}  // namespace lockstep
