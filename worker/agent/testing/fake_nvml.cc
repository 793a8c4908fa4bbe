// A libnvidia-ml.so for tests: $FAKE_NVML_GPUS GPUs (2) of model $FAKE_NVML_NAME ("Fake H1"), of a driver
// that serves CUDA $FAKE_NVML_CUDA (99000); $FAKE_NVML_INIT is what nvmlInit_v2 returns (0). The energy of a
// GPU grows by 5 J with each reading.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int NumberOf(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::atoi(text) : otherwise;
}

int Put(const char* text, char* to, unsigned size) {
  std::snprintf(to, size, "%s", text);
  return 0;
}

std::atomic<unsigned long long> joules = 1000;

struct Memory {
  unsigned long long total, free, used;
};
struct Utilization {
  unsigned gpu, memory;
};

}  // namespace

extern "C" {

int nvmlInit_v2() { return NumberOf("FAKE_NVML_INIT", 0); }
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int result) { return result == 9 ? "Driver Not Loaded" : "some error"; }
int nvmlSystemGetDriverVersion(char* to, unsigned size) { return Put("999.01", to, size); }
int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = NumberOf("FAKE_NVML_CUDA", 99000);
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(NumberOf("FAKE_NVML_GPUS", 2));
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = reinterpret_cast<void*>(uintptr_t{index} + 1);
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  return nvmlDeviceGetHandleByIndex_v2(static_cast<unsigned>(std::atoi(std::strrchr(uuid, '-') + 1)), device);
}
int nvmlDeviceGetUUID(void* device, char* to, unsigned size) {
  std::snprintf(to, size, "GPU-fa4e0000-0000-0000-0000-%012llu",
                static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(device) - 1));
  return 0;
}
int nvmlDeviceGetName(void*, char* to, unsigned size) {
  const char* name = std::getenv("FAKE_NVML_NAME");
  return Put(name != nullptr ? name : "Fake H1", to, size);
}
int nvmlDeviceGetMemoryInfo(void*, Memory* memory) {
  *memory = {8ull << 30, 6ull << 30, 2ull << 30};
  return 0;
}
int nvmlDeviceGetUtilizationRates(void*, Utilization* utilization) {
  *utilization = {75, 10};
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) {
  *celsius = 61;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 350500;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  *millijoules = 1000 * (joules += 5);
  return 0;
}

}  // extern "C"
