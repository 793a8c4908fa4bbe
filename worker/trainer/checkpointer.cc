#include "worker/trainer/checkpointer.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/proto_time.h"
#include "spdlog/spdlog.h"

namespace lockstep {

Checkpointer::Checkpointer(const v1::CheckpointSpec& spec, std::string directory, Reporter* reporter)
    : spec_(spec), directory_(std::move(directory)), reporter_(reporter), last_(absl::Now()), writer_([this] {
        Run();
      }) {}

Checkpointer::~Checkpointer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  writer_.join();
}

void Checkpointer::MaybeWrite(Program& program) {
  if (spec_.every_steps() > 0 && program.step() % spec_.every_steps() == 0) {
    WaitIdle();
    Enqueue(program, Verdict::kOpen);
    return;
  }
  // The clock is read at most once per epoch by default, and never for a job that counts steps.
  const bool timed = spec_.has_every();
  if (!timed && (spec_.every_steps() > 0 || !program.at_natural_boundary())) return;
  const absl::Time now = absl::Now();
  if (now - last_ < (timed ? FromProto(spec_.every()) : kDefaultPause)) return;
  {
    std::lock_guard lock(mutex_);
    if (writing_ || pending_) return;  // a slow disk spaces checkpoints out; it does not slow training down
  }
  Enqueue(program, Verdict::kOpen);
}

absl::Status Checkpointer::WriteNow(Program& program) {
  Decide(Verdict::kConfirmed);
  WaitIdle();
  if (program.step() == last_written_step_) return absl::OkStatus();
  Enqueue(program, Verdict::kConfirmed);
  WaitIdle();
  std::lock_guard lock(mutex_);
  return last_status_;
}

void Checkpointer::Confirm() { Decide(Verdict::kConfirmed); }
void Checkpointer::Discard() { Decide(Verdict::kDiscarded); }

void Checkpointer::Decide(Verdict verdict) {
  std::lock_guard lock(mutex_);
  if ((!pending_ && !writing_) || verdict_ != Verdict::kOpen) return;
  verdict_ = verdict;
  changed_.notify_all();
}

void Checkpointer::Enqueue(Program& program, Verdict verdict) {
  last_ = absl::Now();
  snapshot_.Clear();
  program.TakeSnapshot(&snapshot_);
  std::lock_guard lock(mutex_);
  pending_ = true;
  verdict_ = verdict;
  copying_ = true;
  changed_.notify_all();
}

void Checkpointer::AwaitCopy() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !copying_; });
}

void Checkpointer::WaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !pending_ && !writing_; });
}

void Checkpointer::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || pending_; });
    if (!pending_) return;
    pending_ = false;
    writing_ = true;
    lock.unlock();
    snapshot_.Copy();
    lock.lock();
    copying_ = false;
    changed_.notify_all();
    changed_.wait(lock, [&] { return stopping_ || verdict_ != Verdict::kOpen; });
    if (verdict_ != Verdict::kConfirmed) {
      writing_ = false;
      last_status_ = absl::AbortedError("the ranks did not confirm the state");
      changed_.notify_all();
      continue;
    }
    lock.unlock();
    const absl::Status status = Write();
    lock.lock();
    writing_ = false;
    last_status_ = status;
    if (status.ok()) last_written_step_ = snapshot_.content.manifest.step;
    changed_.notify_all();
  }
}

absl::Status Checkpointer::Write() {
  const int64_t step = snapshot_.content.manifest.step;
  absl::Status status;
  for (const float value : snapshot_.first()) {
    if (!std::isfinite(value)) {
      status = absl::OutOfRangeError("the weights are not finite; the last good checkpoint is kept instead");
      break;
    }
  }
  const absl::Time start = absl::Now();
  absl::StatusOr<CheckpointInfo> info = status.ok() ? WriteCheckpoint(directory_, snapshot_.content) : status;
  if (!info.ok()) {
    spdlog::warn(
        "checkpoint of step {} was not written: {}; training goes on, earlier checkpoints are untouched",
        step, std::string(info.status().message()));
    reporter_->CheckpointProblem(step, std::string(info.status().message()));
    return info.status();
  }
  const absl::Duration took = absl::Now() - start;
  absl::StatusOr<std::vector<std::string>> removed = ApplyRetention(directory_, spec_.keep_last());
  if (!removed.ok())
    spdlog::warn("old checkpoints were not removed: {}", std::string(removed.status().message()));
  reporter_->Checkpoint(*info, removed.ok() ? *removed : std::vector<std::string>{}, took);
  return absl::OkStatus();
}

}  // namespace lockstep
