#include "coordinator/jobs/job_deletions.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_join.h"
#include "coordinator/jobs/job_files.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {

void JobDeletions::Delete(const std::string& job, bool keep_model, const Done& done) {
  const auto id = ledger_->ResolveJob(job);
  absl::Status status = id.status();
  if (status.ok() && !ledger_->IsDeleted(*id)) status = Mark(*id, keep_model);
  ledger_->AfterCommit([this, id, status, done] {
    if (!status.ok()) return done(status);
    if (!ledger_->IsDeleted(*id))  // its last rows went in this round
      return done(absl::NotFoundError(absl::StrCat("job ", *id, " is deleted")));
    Begin(*id);
    waiting_[*id].push_back(done);
  });
}

absl::Status JobDeletions::Mark(const std::string& id, bool keep_model) {
  v1::JobState state;
  if (const JobRecord* job = ledger_->FindJob(id); job != nullptr) {
    state = job->state();
  } else {
    ASSIGN_OR_RETURN(const StoredJob stored, ledger_->store()->GetJob(id));
    state = stored.job.state();
  }
  if (!IsFinal(state)) {
    return absl::FailedPreconditionError(absl::StrCat("job ", id, " cannot be deleted: it is ",
                                                      JobStateName(state),
                                                      "; end it first, with `lockstep cancel ", id, "`"));
  }
  if (const auto holds = ledger_->HoldsOf(id); !holds.empty()) {
    return absl::UnavailableError(absl::StrCat("job ", id, " cannot be deleted yet: its trainer on ",
                                               holds.front().first, " is just ending; try again"));
  }
  RETURN_IF_ERROR(CheckNotNeeded(id, keep_model));
  ledger_->MarkDeleted({id, keep_model});
  return absl::OkStatus();
}

absl::Status JobDeletions::CheckNotNeeded(const std::string& id, bool keep_model) const {
  const std::string& root = ledger_->options().artifact_root;
  std::vector<std::string> needed_by;
  for (const auto& [other, job] : ledger_->jobs()) {
    if (other == id || IsFinal(job.state())) continue;
    const v1::CheckpointSource& from = job.stored.job.spec().from();
    for (const std::string& path : {job.stored.from_path, from.path(), from.safetensors()}) {
      if (JobOfPath(root, path) != id || (keep_model && IsInModel(root, path))) continue;
      needed_by.push_back(absl::StrCat(other, " (", job.stored.job.name(), ")"));
      break;
    }
    if (needed_by.size() == 10) break;
  }
  if (needed_by.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("job ", id, " cannot be deleted: what it left is where ", absl::StrJoin(needed_by, ", "),
                   needed_by.size() == 1 ? " begins" : " begin", " (`from`); wait for the end, or cancel"));
}

void JobDeletions::Begin(const std::string& id) {
  if (!waiting_.try_emplace(id).second) return;
  remove_(id, ledger_->KeepsModel(id));
}

void JobDeletions::GoOn(const StoredDeletion& deletion) {
  ledger_->MarkDeleted(deletion);
  ledger_->AfterCommit([this, id = deletion.job_id] { Begin(id); });
}

void JobDeletions::Removed(const std::string& id, const absl::StatusOr<int64_t>& freed_bytes) {
  const absl::StatusOr<Controller::Deleted> answer = Remove(id, freed_bytes);
  ledger_->AfterCommit([this, id, answer] {
    if (answer.ok()) {
      spdlog::info("job {} ({}) is deleted, {} bytes are free", id, answer->job.name(), answer->freed_bytes);
    } else {
      spdlog::error("job {} is to be deleted, but stays: {}", id, std::string(answer.status().message()));
    }
    Answer(id, answer);
  });
}

absl::StatusOr<Controller::Deleted> JobDeletions::Remove(const std::string& id,
                                                         const absl::StatusOr<int64_t>& freed_bytes) {
  RETURN_IF_ERROR(freed_bytes.status());
  ASSIGN_OR_RETURN(StoredJob stored, ledger_->store()->GetJob(id));
  ledger_->RemoveJob(stored.job);
  return Controller::Deleted{std::move(stored.job), *freed_bytes};
}

void JobDeletions::Answer(const std::string& id, const absl::StatusOr<Controller::Deleted>& answer) {
  const auto asked = waiting_.extract(id);
  if (asked.empty()) return;
  for (const Done& done : asked.mapped()) done(answer);
}

}  // namespace lockstep
