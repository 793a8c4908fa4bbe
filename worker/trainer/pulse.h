// The trainer's sign of life: a thread that tells the agent a few times a second that the process runs, and
// for how long its own part of the present step has been under way. So the agent tells a trainer that hangs
// from one that only waits for its peers, and knows where its time goes. Begin and End from the loop's
// thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/control/channel.h"
#include "worker/trainer/device_clock.h"

namespace lockstep {

// How long a part of a step may take, from those before it. Pure.
class StepLimit {
 public:
  explicit StepLimit(const v1::WorkersSpec& spec);
  void Add(absl::Duration took);
  // Infinite until there is something to compare with, unless the spec says it.
  absl::Duration limit() const { return limit_; }

 private:
  static constexpr int kKept = 64;
  static constexpr int kTimesTheMedian = 20;
  static constexpr absl::Duration kAtLeast = absl::Minutes(1);

  const bool fixed_;
  std::vector<absl::Duration> recent_;  // a ring
  size_t next_ = 0;
  absl::Duration limit_ = absl::InfiniteDuration();
};

class Pulse {
 public:
  // What the pointers show to must outlive this object.
  Pulse(Channel* channel, const DeviceClock* clock, const v1::WorkersSpec& spec);
  ~Pulse();

  void Begin();  // own work, which waits for nobody
  void End();

 private:
  static constexpr absl::Duration kInterval = absl::Milliseconds(250);
  void Run();

  Channel* const channel_;
  const DeviceClock* const clock_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;                                         // guarded by mutex_, as what follows
  std::optional<std::chrono::steady_clock::time_point> working_;  // since
  StepLimit limit_;
  std::thread thread_;
};

}  // namespace lockstep
