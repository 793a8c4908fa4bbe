// Where this process's wall clock goes: to exactly one kind at any moment, so that the kinds add up to it.
// The loop's thread switches and counts, any thread reads.
//
// It is on the path of each step: no lock and no allocation, a switch is one reading of the clock, one atomic
// exchange and four stores. A reader that is overtaken by a switch reads again: `sequence_` is odd during
// one, and each value is stored after it, so that who sees a new value sees the new sequence too.
//
// What is read never goes back, or it would look like a counter's reset: a reader leaves in `told_` up to
// when it counts, then looks at the sequence; a switch makes the sequence odd, then looks at `told_`. Both in
// the one order of sequentially consistent operations, so one of the two sees the other.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/metrics/buckets.h"
#include "lockstep/v1/goodput.pb.h"

namespace lockstep {

enum class TimeKind { kCompute, kCommunication, kInput, kCheckpoint, kRecovery, kIdle };
inline constexpr int kTimeKinds = 6;

// How often a duration fell into each bucket of kStepBuckets. One thread adds, any reads.
class DurationCounts {
 public:
  void Add(std::chrono::nanoseconds took);
  void Read(v1::Durations* out) const;

 private:
  std::array<std::atomic<int64_t>, kStepBuckets.size() + 1> counts_{};
  std::atomic<int64_t> sum_{0};  // nanoseconds
};

class DeviceClock {
 public:
  using Clock = std::chrono::steady_clock;

  explicit DeviceClock(TimeKind first);

  // From now on it is `kind`. How long the one before lasted.
  std::chrono::nanoseconds Switch(TimeKind kind);
  // When it last did. By the loop's thread.
  Clock::time_point switched() const {
    return Clock::time_point(std::chrono::nanoseconds(since_.load(std::memory_order_relaxed)));
  }
  // This rank's part of a batch; again if the step is done again.
  void CountBatch(int64_t samples, int64_t tokens);
  // A step that was completed, and what it waited for the sum over the ranks.
  void CountStep(std::chrono::nanoseconds step, std::chrono::nanoseconds reduce);

  // Up to now. Fills the kinds and the counts.
  void Read(v1::DeviceTime* out) const;
  const DurationCounts& steps() const { return steps_; }
  const DurationCounts& reductions() const { return reductions_; }

 private:
  std::atomic<uint64_t> sequence_{0};
  mutable std::atomic<int64_t> told_{0};                   // nanoseconds of Clock
  std::array<std::atomic<int64_t>, kTimeKinds> totals_{};  // nanoseconds
  std::atomic<int64_t> since_;                             // of kind_, nanoseconds of Clock
  std::atomic<int> kind_;
  std::atomic<int64_t> samples_{0}, tokens_{0}, step_count_{0};
  DurationCounts steps_, reductions_;
};

}  // namespace lockstep
