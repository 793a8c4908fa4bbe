// The GPUs of this node, as the driver's management library (NVML) has them. The library is loaded at run
// time, since one binary serves machines with GPUs and without.
//
// Thread-safe after Load, as the library is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

struct Gpu {
  int index = 0;       // as nvidia-smi counts
  std::string uuid;    // "GPU-..."
  std::string name;    // "NVIDIA H200"
  int64_t memory = 0;  // bytes, all of it
};

// What one GPU says of itself just now; unset: it does not measure this.
struct GpuReadings {
  std::optional<double> utilization;  // share of the last sampling period in which a kernel ran, 0 to 1
  std::optional<double> used_memory;  // bytes
  std::optional<double> temperature;  // degrees Celsius
  std::optional<double> power;        // watts
  std::optional<double> energy;       // joules since the driver was loaded
};

class Nvml {
 public:
  // From $LOCKSTEP_NVML (a file), or where the system's loader finds libnvidia-ml.so.1. NOT_FOUND: there is
  // no such library, and so no driver. FAILED_PRECONDITION: it refuses to start; says why and what to do.
  static absl::StatusOr<std::unique_ptr<Nvml>> Load();
  ~Nvml();

  const std::string& driver() const { return driver_; }  // "580.65.06"
  int cuda_major() const { return cuda_major_; }         // the newest CUDA that the driver serves; 0: unknown
  // UNAVAILABLE: one of them does not answer.
  absl::StatusOr<std::vector<Gpu>> Gpus() const;
  GpuReadings Read(const std::string& uuid) const;

 private:
  struct Calls;
  Nvml(std::unique_ptr<Calls> calls);
  absl::Status Explain(const char* call, int result) const;

  const std::unique_ptr<Calls> calls_;
  std::string driver_;
  int cuda_major_ = 0;
};

}  // namespace lockstep
