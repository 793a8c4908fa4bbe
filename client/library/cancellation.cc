#include "client/library/cancellation.h"

#include <utility>

namespace lockstep {

void Cancellation::Cancel() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(cancelled_, true)) return;
  changed_.notify_all();
  for (auto& [id, action] : actions_) action();
}

bool Cancellation::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

bool Cancellation::SleepFor(absl::Duration duration) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, absl::ToChronoNanoseconds(duration), [this] { return cancelled_; });
}

Cancellation::Hook::Hook(Cancellation* cancellation, std::function<void()> action)
    : cancellation_(cancellation) {
  if (cancellation_ == nullptr) return;
  const std::lock_guard lock(cancellation_->mutex_);
  if (cancellation_->cancelled_) {
    action();
    return;
  }
  id_ = cancellation_->next_id_++;
  cancellation_->actions_[id_] = std::move(action);
}

Cancellation::Hook::~Hook() {
  if (cancellation_ == nullptr) return;
  const std::lock_guard lock(cancellation_->mutex_);
  cancellation_->actions_.erase(id_);
}

}  // namespace lockstep
