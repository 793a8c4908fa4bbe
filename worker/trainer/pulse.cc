#include "worker/trainer/pulse.h"

#include <algorithm>

#include "common/base/proto_time.h"
#include "lockstep/v1/trainer.pb.h"

namespace lockstep {
namespace {

absl::Duration Since(std::chrono::steady_clock::time_point time) {
  return absl::FromChrono(std::chrono::steady_clock::now() - time);
}

}  // namespace

StepLimit::StepLimit(const v1::WorkersSpec& spec) : fixed_(spec.has_step_limit()) {
  if (fixed_) limit_ = FromProto(spec.step_limit());
}

void StepLimit::Add(absl::Duration took) {
  if (fixed_) return;
  if (recent_.size() < kKept) {
    recent_.push_back(took);
  } else {
    recent_[next_++ % kKept] = took;
    if (next_ % kKept != 0) return;  // the median of so many moves slowly
  }
  std::vector<absl::Duration> sorted = recent_;
  std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
  limit_ = std::max(kAtLeast, kTimesTheMedian * sorted[sorted.size() / 2]);
}

Pulse::Pulse(Channel* channel, const DeviceClock* clock, const v1::WorkersSpec& spec)
    : channel_(channel), clock_(clock), limit_(spec), thread_([this] { Run(); }) {}

Pulse::~Pulse() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void Pulse::Begin() {
  std::lock_guard lock(mutex_);
  working_ = std::chrono::steady_clock::now();
}

void Pulse::End() {
  std::lock_guard lock(mutex_);
  if (working_) limit_.Add(Since(*working_));
  working_.reset();
}

void Pulse::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    v1::FromTrainer message;
    v1::TrainerPulse& pulse = *message.mutable_pulse();
    if (working_) *pulse.mutable_working() = ToProto(Since(*working_));
    if (limit_.limit() < absl::InfiniteDuration()) *pulse.mutable_limit() = ToProto(limit_.limit());
    lock.unlock();
    clock_->Read(pulse.mutable_time());
    clock_->steps().Read(pulse.mutable_step_seconds());
    clock_->reductions().Read(pulse.mutable_reduce_seconds());
    (void)channel_->Send(message);  // without an agent the process ends anyway
    lock.lock();
    stop_.wait_for(lock, absl::ToChronoMilliseconds(kInterval), [this] { return stopping_; });
  }
}

}  // namespace lockstep
