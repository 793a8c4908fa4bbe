#pragma once

#include "common/base/status.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep::engine {

// Raise it when a kernel's bits change.
inline constexpr int kDeviceArithmeticRevision = 2;

inline constexpr char kGpuKind[] = "gpu";  // NumericProfile::device_kind

// CurrentProfile (worker/engine/engine.h) of a GPU. An error: there is none, or it does not answer.
absl::StatusOr<v1::NumericProfile> DeviceProfile(int device);

}  // namespace lockstep::engine
