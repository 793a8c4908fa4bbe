#include "worker/trainer/mailbox.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lockstep/v1/trainer.pb.h"
#include "spdlog/spdlog.h"

namespace lockstep {

Mailbox::Mailbox(Channel* channel) : channel_(channel), reader_([this] { Read(); }) {}

Mailbox::~Mailbox() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  channel_->Shutdown();
  reader_.join();
}

void Mailbox::Read() {
  while (true) {
    v1::ToTrainer message;
    const absl::Status status = channel_->Receive(&message);
    std::lock_guard lock(mutex_);
    if (!status.ok()) {
      if (!closing_) {
        spdlog::error("the agent is gone ({}); this trainer ends", std::string(status.message()));
        _exit(3);
      }
      return;
    }
    switch (message.message_case()) {
      case v1::ToTrainer::kAssignment:
        pending_generation_ = message.assignment().generation();
        assignment_ = std::move(*message.mutable_assignment());
        AbandonIfBroken();
        break;
      case v1::ToTrainer::kRendezvous:
        rendezvous_ = std::move(*message.mutable_rendezvous());
        break;
      case v1::ToTrainer::kStop:
        if (stop_ != v1::Stop::MODE_CANCEL) stop_ = message.stop().mode();
        stop_mode_ = stop_;
        break;
      case v1::ToTrainer::kCorrupt:
        corruption_ = true;
        break;
      case v1::ToTrainer::MESSAGE_NOT_SET:
        spdlog::warn("the agent sent a message that this trainer does not know; ignored");
        break;
    }
    changed_.notify_all();
  }
}

v1::Assignment Mailbox::WaitForAssignment() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return assignment_.has_value(); });
  v1::Assignment taken = std::move(*assignment_);
  assignment_.reset();
  pending_generation_ = 0;
  return taken;
}

bool Mailbox::HasAssignmentAbove(int64_t generation) const { return pending_generation_ > generation; }

std::optional<v1::Assignment> Mailbox::TakeAssignmentAbove(int64_t generation) {
  std::lock_guard lock(mutex_);
  if (!assignment_ || assignment_->generation() <= generation) return std::nullopt;
  std::optional<v1::Assignment> taken = std::move(assignment_);
  assignment_.reset();
  pending_generation_ = 0;
  return taken;
}

v1::Stop::Mode Mailbox::stop() const { return static_cast<v1::Stop::Mode>(stop_mode_.load()); }

bool Mailbox::IsGivenUp(int64_t generation) const {
  return pending_generation_ > generation || stop_mode_ == v1::Stop::MODE_CANCEL;
}

absl::StatusOr<std::vector<std::string>> Mailbox::WaitForRendezvous(int64_t generation) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return IsGivenUp(generation) || (rendezvous_ && rendezvous_->generation() == generation);
  });
  if (rendezvous_ && rendezvous_->generation() == generation) {
    return std::vector<std::string>(rendezvous_->addresses().begin(), rendezvous_->addresses().end());
  }
  return absl::AbortedError(absl::StrCat("generation ", generation, " was given up before it formed"));
}

bool Mailbox::WaitForNextGeneration(int64_t generation) {
  std::unique_lock lock(mutex_);
  const auto ordered = [&] { return assignment_ && assignment_->generation() > generation; };
  changed_.wait(lock,
                [&] { return ordered() || stop_ == v1::Stop::MODE_CANCEL || stop_ == v1::Stop::MODE_LEAVE; });
  return ordered() && stop_ != v1::Stop::MODE_CANCEL;
}

void Mailbox::Watch(int64_t generation, std::function<void()> abandon) {
  std::lock_guard lock(mutex_);
  watched_generation_ = generation;
  abandon_ = std::move(abandon);
  AbandonIfBroken();
}

void Mailbox::Unwatch() {
  std::lock_guard lock(mutex_);
  abandon_ = nullptr;
}

void Mailbox::AbandonIfBroken() {
  if (!abandon_ || !assignment_ || !assignment_->abandon()) return;
  if (assignment_->generation() > watched_generation_) std::exchange(abandon_, nullptr)();
}

}  // namespace lockstep
