// Orders from the agent, as the trainer's main thread sees them. A reader thread receives them from the
// control channel; when the channel closes (the agent died) the process ends at once, so that no trainer
// outlives its agent. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/control/channel.h"

namespace lockstep {

class Mailbox {
 public:
  // Starts the reader. `channel` must outlive the mailbox.
  explicit Mailbox(Channel* channel);
  ~Mailbox();

  // Blocks for the first assignment.
  v1::Assignment WaitForAssignment();
  // The newest assignment of a generation above `generation`, if one is waiting; it stays until taken.
  bool HasAssignmentAbove(int64_t generation) const;
  std::optional<v1::Assignment> TakeAssignmentAbove(int64_t generation);

  // MODE_UNSPECIFIED if no stop was ordered. A cancellation overrides a pause.
  v1::Stop::Mode stop() const;

  // Blocks for the addresses of `generation`. ABORTED: a stop or an assignment of a higher generation came
  // instead.
  absl::StatusOr<std::vector<std::string>> WaitForRendezvous(int64_t generation);
  // After a collective failed: true as soon as a stop or a higher generation has come, false after `timeout`.
  bool WaitForOrder(int64_t generation, absl::Duration timeout);

 private:
  void Read();

  Channel* const channel_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<v1::Assignment> assignment_;
  std::optional<v1::RendezvousReady> rendezvous_;
  v1::Stop::Mode stop_ = v1::Stop::MODE_UNSPECIFIED;
  std::atomic<int64_t> pending_generation_{0};
  std::atomic<int> stop_mode_{0};
  bool closing_ = false;
  std::thread reader_;
};

}  // namespace lockstep
