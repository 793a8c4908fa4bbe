// Orders from the agent, as the trainer's main thread sees them. A reader thread receives them from the
// control channel; when the channel closes (the agent died) the process ends at once, so that no trainer
// outlives its agent. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

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

  // Was it ordered to corrupt its weights (`lockstep chaos`)? True once for each order.
  bool TakeCorruption() { return corruption_.exchange(false); }

  // Nothing can come of `generation` any more: it was cancelled, or a higher one is ordered.
  bool IsGivenUp(int64_t generation) const;
  // Blocks for the addresses of `generation`. ABORTED: it is given up.
  absl::StatusOr<std::vector<std::string>> WaitForRendezvous(int64_t generation);
  // After a collective failed. Blocks until a higher generation is ordered (true), or this rank is to stop
  // alone: cancelled, or about to leave anyway (false).
  bool WaitForNextGeneration(int64_t generation);

  // From now on `abandon` is called, at most once and from the reader's thread, when an assignment above
  // `generation` says that `generation` is broken; at once if one is waiting already. Unwatch: not any more.
  void Watch(int64_t generation, std::function<void()> abandon);
  void Unwatch();

 private:
  void Read();
  void AbandonIfBroken();  // REQUIRES: mutex_ is held

  Channel* const channel_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<v1::Assignment> assignment_;
  std::optional<v1::RendezvousReady> rendezvous_;
  v1::Stop::Mode stop_ = v1::Stop::MODE_UNSPECIFIED;
  int64_t watched_generation_ = 0;
  std::function<void()> abandon_;  // empty: nothing is watched
  std::atomic<int64_t> pending_generation_{0};
  std::atomic<int> stop_mode_{0};
  std::atomic<bool> corruption_{false};
  bool closing_ = false;
  std::thread reader_;
};

}  // namespace lockstep
