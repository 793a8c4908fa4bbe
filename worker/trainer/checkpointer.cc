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

void Checkpointer::Join(int64_t generation, int rank, int world) {
  generation_ = generation;
  rank_ = rank;
  world_ = world;
}

bool Checkpointer::Due(const Program& program) {
  if (spec_.every_steps() > 0 && (program.step() + 1) % spec_.every_steps() == 0) {
    // One that is not confirmed yet will be in this step: Take waits for it.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return (!pending_ && !writing_) || verdict_ == Verdict::kOpen; });
    return true;
  }
  // The clock is read at most once per epoch by default, and never for a job that counts steps.
  const bool timed = spec_.has_every();
  if (!timed && (spec_.every_steps() > 0 || !program.next_is_natural_boundary())) return false;
  if (absl::Now() - last_ < (timed ? FromProto(spec_.every()) : kDefaultPause)) return false;
  std::lock_guard lock(mutex_);
  return !making_room_ && !writing_ &&
         !pending_;  // a slow disk spaces checkpoints out; it does not slow training down
}

void Checkpointer::Take(Program& program) {
  WaitIdle();
  Enqueue(program, rank_ == 0 ? Role::kLead : Role::kPart, Verdict::kOpen);
}

absl::Status Checkpointer::WriteNow(Program& program) {
  Decide(Verdict::kConfirmed);
  WaitIdle();
  if (program.step() == last_written_step_) return absl::OkStatus();
  Enqueue(program, Role::kAlone, Verdict::kConfirmed);
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

void Checkpointer::GiveUpOnOthers() {
  std::lock_guard lock(mutex_);
  gave_up_ = true;
  changed_.notify_all();
}

void Checkpointer::Enqueue(Program& program, Role role, Verdict verdict) {
  last_ = absl::Now();
  role_ = role;
  has_room_ = true;
  place_ = {directory_, program.step(), absl::StrCat("g", generation_)};
  Describe(program, role);
  std::lock_guard lock(mutex_);
  pending_ = true;
  verdict_ = verdict;
  copying_ = true;
  gave_up_ = false;
  changed_.notify_all();
}

void Checkpointer::Describe(Program& program, Role role) {
  snapshot_.Clear();
  program.TakeSnapshot(role == Role::kAlone ? 0 : rank_, role == Role::kAlone ? 1 : world_, &snapshot_);
}

void Checkpointer::MakeRoom(Program& program) {
  if (has_room_) return;
  has_room_ = true;
  Describe(program, rank_ == 0 ? Role::kLead : Role::kPart);
  std::lock_guard lock(mutex_);
  making_room_ = true;
  changed_.notify_all();
}

void Checkpointer::AwaitCopy() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !copying_; });
}

void Checkpointer::WaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !making_room_ && !pending_ && !writing_; });
}

void Checkpointer::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || making_room_ || pending_; });
    if (making_room_) {
      lock.unlock();
      snapshot_.Touch();
      lock.lock();
      making_room_ = false;
      changed_.notify_all();
      continue;
    }
    if (!pending_) return;
    pending_ = false;
    writing_ = true;
    lock.unlock();
    snapshot_.Copy();
    lock.lock();
    copying_ = false;
    changed_.notify_all();
    changed_.wait(lock, [&] { return stopping_ || verdict_ != Verdict::kOpen; });
    absl::Status status = absl::AbortedError("the ranks did not confirm the state");
    if (verdict_ == Verdict::kConfirmed) {
      lock.unlock();
      status = Write();
      lock.lock();
    }
    writing_ = false;
    last_status_ = status;
    if (status.ok() && role_ != Role::kPart) last_written_step_ = snapshot_.content.manifest.step;
    changed_.notify_all();
  }
}

absl::Status Checkpointer::Write() {
  const int64_t step = place_.step;
  if (role_ == Role::kPart) return WritePart();
  const absl::Time start = absl::Now();
  const absl::StatusOr<CheckpointInfo> info = WriteAndCommit();
  if (!info.ok()) {
    spdlog::warn(
        "checkpoint of step {} was not written: {}; training goes on, earlier checkpoints are untouched",
        step, std::string(info.status().message()));
    // A generation that broke is no fault of the disk's.
    if (!absl::IsCancelled(info.status())) {
      reporter_->CheckpointProblem(step, std::string(info.status().message()));
    }
    return info.status();
  }
  const absl::Duration took = absl::Now() - start;
  absl::StatusOr<std::vector<std::string>> removed = ApplyRetention(directory_, spec_.keep_last());
  if (!removed.ok())
    spdlog::warn("old checkpoints were not removed: {}", std::string(removed.status().message()));
  reporter_->Checkpoint(*info, removed.ok() ? *removed : std::vector<std::string>{}, took);
  return absl::OkStatus();
}

absl::Status Checkpointer::WritePart() {
  if (snapshot_.part < 0) return absl::OkStatus();
  const absl::Status status =
      WriteCheckpointPart(place_, snapshot_.part, snapshot_.parts, snapshot_.content.optimizer);
  if (!status.ok()) {
    spdlog::warn("part {} of the checkpoint of step {} was not written: {}", snapshot_.part, place_.step,
                 std::string(status.message()));
  }
  return status;
}

absl::StatusOr<CheckpointInfo> Checkpointer::WriteAndCommit() {
  for (const float value : snapshot_.first()) {
    if (!std::isfinite(value))
      return absl::OutOfRangeError("the weights are not finite; the last good checkpoint is kept instead");
  }
  if (role_ == Role::kAlone) return WriteCheckpoint(directory_, snapshot_.content);
  ASSIGN_OR_RETURN(LeadCheckpoint lead, LeadCheckpoint::Write(place_, snapshot_.content, snapshot_.parts));
  const absl::Time since = absl::Now();
  while (true) {
    const bool over = GivesUp(since);  // before the look: what came until then counts
    const absl::StatusOr<int> missing = lead.Missing();
    if (missing.ok() && *missing == 0) return lead.Commit();
    if (!missing.ok() || over) {
      lead.Abandon();
      RETURN_IF_ERROR(missing.status());
      const absl::Duration waited = absl::Now() - since;
      const std::string what = absl::StrCat(*missing, " of ", snapshot_.parts, " parts are not there");
      if (waited < kPartsPatience)
        return absl::CancelledError(absl::StrCat(what, ", and their ranks are gone"));
      return absl::DeadlineExceededError(absl::StrCat(what, " after ", absl::FormatDuration(kPartsPatience),
                                                      ": see the logs of the other ranks"));
    }
  }
}

// After kLook, or at once when something happens: will the parts not come any more?
bool Checkpointer::GivesUp(absl::Time since) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMilliseconds(kLook), [&] { return gave_up_; });
  const absl::Duration waited = absl::Now() - since;
  return gave_up_ || waited > kPartsPatience || (stopping_ && waited > kLastPatience);
}

}  // namespace lockstep
