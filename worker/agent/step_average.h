// What a step takes a rank on average, over windows of some seconds. Pure, not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "lockstep/v1/trainer.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class StepAverage {
 public:
  explicit StepAverage(absl::Duration window) : window_(window) {}

  // `times` are totals since the process began. A window never reaches over two generations.
  void Add(const v1::TrainerTimes& times, const v1::Assignment& order, absl::Time now);
  // A new process: its totals begin anew.
  void Reset() { *this = StepAverage(window_); }
  // The newest whole window, once.
  std::optional<v1::RankTimes> Take() { return std::exchange(whole_, std::nullopt); }

 private:
  absl::Duration window_;
  v1::TrainerTimes from_;
  std::string job_;
  int64_t generation_ = 0;  // 0: no window has begun
  absl::Time began_;
  std::optional<v1::RankTimes> whole_;
};

}  // namespace lockstep
