// The one block of a device's memory that a trainer's step works in, handed out from the front and never
// taken back: what is needed is known before the job starts (device_plan.h).
#pragma once

#include <cstdint>
#include <utility>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"

namespace lockstep::engine {

// Buffers lie as far apart as cudaMalloc aligns them.
inline int64_t DeviceAligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }

// Offsets of buffers that lie one behind the other.
class DeviceLayout {
 public:
  int64_t Add(int64_t bytes) {
    const int64_t offset = total_;
    total_ += DeviceAligned(bytes);
    return offset;
  }
  int64_t total() const { return total_; }

 private:
  int64_t total_ = 0;
};

class DeviceArena {
 public:
  // RESOURCE_EXHAUSTED: the device has not that much left.
  static absl::StatusOr<DeviceArena> Make(int device, int64_t bytes) {
    DeviceArena arena;
    ASSIGN_OR_RETURN(arena.block_, kernels::DeviceBlock::Allocate(device, static_cast<size_t>(bytes)));
    return arena;
  }
  // INTERNAL: more than was planned.
  absl::StatusOr<char*> Take(int64_t bytes) {
    const int64_t offset = layout_.Add(bytes);
    if (layout_.total() > static_cast<int64_t>(block_.size())) {
      return absl::InternalError(absl::StrCat("device arena: ", layout_.total(), " bytes are wanted of ",
                                              block_.size(), " planned; the plan is wrong"));
    }
    return static_cast<char*>(block_.data()) + offset;
  }

 private:
  kernels::DeviceBlock block_;
  DeviceLayout layout_;
};

}  // namespace lockstep::engine
