#include "coordinator/jobs/supervisor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_join.h"
#include "coordinator/jobs/crash_text.h"
#include "coordinator/jobs/node_failures.h"

namespace lockstep {
namespace {

// A device whose trainers die while they prepare gets so many; then the job does without it.
constexpr int kNewcomerTries = 3;

bool HoldsDevices(v1::JobState state) {
  return state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING ||
         state == v1::JOB_STATE_RECOVERING;
}

// What failed before the present generation, if that failed. One that fails further on than the last did
// takes its place: after a restore steps are done again, and who is disturbed there again and again still
// arrives.
int EarlierFailures(const JobRecord& job, bool counted) {
  if (job.best_step > job.failed_step) return 0;
  const bool replaces = counted || job.reached > job.failed_at;
  return job.failures - (replaces ? std::min(job.failures, 1) : 0);
}

}  // namespace

void Supervisor::ReviewAll() { Review({ledger_->holding().begin(), ledger_->holding().end()}); }

void Supervisor::ReviewEdited() { Review(ledger_->EditedJobs()); }

void Supervisor::Review(const std::vector<std::string>& jobs) {
  std::vector<std::pair<std::string, SupervisionDecision>> decisions;
  std::vector<std::string> late, adopted;
  const absl::Time now = ledger_->now();
  for (const std::string& id : jobs) {
    const JobRecord* found = ledger_->FindJob(id);
    if (found == nullptr || !HoldsDevices(found->state())) continue;
    const JobRecord& job = *found;
    if (now >= job.deadline && !job.adopting) late.push_back(id);
    const SupervisedJob view = Describe(job);
    SupervisionDecision decision = Supervise(view);
    const bool all_heard = std::all_of(view.members.begin(), view.members.end(),
                                       [](const SupervisedMember& member) { return member.heard; });
    if (decision.action != SupervisionAction::kGoOn) {
      decisions.emplace_back(id, std::move(decision));
    } else if (job.adopting && all_heard) {
      adopted.push_back(id);  // they form their generation, if they have not done so before
    }
  }
  for (const std::string& id : adopted) {
    JobRecord* job = ledger_->EditRuntime(id);
    job->adopting = false;
    job->deadline = now + ledger_->options().start_timeout;
  }
  for (const std::string& id : late) FailIfTimedOut(id);
  for (const auto& [id, decision] : decisions) Act(id, decision);
}

SupervisedJob Supervisor::Describe(const JobRecord& job) const {
  const absl::Time now = ledger_->now();
  const int64_t generation = job.stored.job.generation();
  SupervisedJob view;
  view.adopting = job.adopting;
  view.grace_over = now >= job.deadline;
  view.waiting = job.broken;
  view.patience_over = now >= job.interrupted_at + ledger_->options().lost_peer_patience;
  view.stepped = job.stepped;
  view.growing = job.growing();
  view.told = job.told;
  const bool counted = job.failed_generation == generation && job.failures > 0;
  view.failures = EarlierFailures(job, counted);
  view.most_failures = ledger_->options().failures_in_a_row;
  const bool late = now >= job.deadline && !job.adopting && !job.broken &&
                    job.stop == v1::Stop::MODE_UNSPECIFIED && job.state() != v1::JOB_STATE_STARTING;
  for (const Member& member : job.members) {
    SupervisedMember& out = view.members.emplace_back();
    out.ended = HasEnded(member.state);
    out.gone = !member.gone.empty();
    out.heard = member.heard > 0;
    out.current = member.heard >= generation;
    out.interrupted = member.state == v1::ASSIGNMENT_STATE_INTERRUPTED;
    const WorkerRecord* worker = ledger_->FindWorker(member.worker);
    out.connected = worker != nullptr && worker->session != 0;
    out.holds_state = member.holds_state;
    out.newcomer = member.since == generation;
    const bool untold = job.growing() && !job.told && !out.newcomer;
    out.overdue = late && !untold && member.state != v1::ASSIGNMENT_STATE_RUNNING && !out.interrupted;
  }
  return view;
}

void Supervisor::FailIfTimedOut(const std::string& id) {
  JobRecord* job = ledger_->EditJob(id);
  const std::string limit = absl::FormatDuration(ledger_->options().start_timeout);
  if (job->stop != v1::Stop::MODE_UNSPECIFIED) {
    generations_->Fail(job, absl::StrCat("its trainers did not stop within ", limit, " and were killed"));
  } else if (job->state() == v1::JOB_STATE_STARTING) {
    generations_->Fail(job, absl::StrCat(MissingText(job->members), " within ", limit, " of the start"));
  }
}

std::string Supervisor::Reason(const JobRecord& job, const SupervisionDecision& decision) const {
  std::vector<std::string> reasons;
  for (const int rank : decision.lost) {
    const Member& member = job.members[rank];
    const std::string who = absl::StrCat("rank ", rank, " on worker ", member.worker);
    if (!member.gone.empty()) {
      reasons.push_back(member.gone);
    } else if (job.adopting) {
      reasons.push_back(absl::StrCat(who, " did not report within ",
                                     absl::FormatDuration(ledger_->options().adoption_grace),
                                     " of a coordinator restart"));
    } else if (ledger_->now() >= job.deadline) {
      reasons.push_back(
          absl::StrCat(who, " made no step within ", absl::FormatDuration(ledger_->options().start_timeout)));
    } else {
      reasons.push_back(absl::StrCat(who, " is gone: its peers lost it and its worker's stream is closed"));
    }
  }
  if (!reasons.empty()) return absl::StrJoin(reasons, "; ");
  if (!job.interruption.empty() && job.interrupted_at != absl::InfiniteFuture()) return job.interruption;
  return job.adopting ? "the coordinator was restarted while a generation was being made" : job.broken_reason;
}

std::string Supervisor::Cause(const JobRecord& job, const SupervisionDecision& decision) const {
  for (const int rank : decision.lost) {
    const Member& member = job.members[rank];
    if (!member.gone.empty() && *member.cause != '\0') return member.cause;
  }
  if (job.adopting) return "coordinator_restarted";
  return ledger_->now() >= job.deadline ? "no_step" : "connection_lost";
}

// The step that was under way is lost with the generation; those since a checkpoint show when it is restored.
void Supervisor::CountRestart(JobRecord* job, const SupervisionDecision& decision) {
  v1::JobTime& time = job->stored.time;
  ++(*time.mutable_restarts())[Cause(*job, decision)];
  if (job->stepped) time.set_lost_steps(time.lost_steps() + 1);
}

void Supervisor::CountFailure(JobRecord* job) {
  const int64_t generation = job->stored.job.generation();
  if (job->failed_generation == generation && job->failures > 0) return;  // one more of the same breakdown
  job->failed_generation = generation;
  job->failures = EarlierFailures(*job, false) + 1;
  job->failed_step = std::max(job->failed_step, job->best_step);
  job->failed_at = job->reached;
}

// Not those of a job that made no step since its last failure: it would take one worker after another
// with it.
void Supervisor::CountNodeFailures(const JobRecord& job, const std::vector<int>& lost) {
  const bool again = job.failed_generation == job.stored.job.generation()
                         ? job.failures > 1
                         : job.failures > 0 && job.best_step <= job.failed_step;
  if (again) return;
  std::map<std::string, std::string> reasons;
  for (const int rank : lost) {
    const Member& member = job.members[rank];
    reasons.emplace(member.worker, member.gone.empty()
                                       ? absl::StrCat("rank ", rank, " of job ", job.id(), " was lost")
                                       : member.gone);
  }
  for (const auto& [worker, reason] : reasons) {
    const WorkerRecord* record = ledger_->FindWorker(worker);
    if (record != nullptr && record->state != v1::WORKER_STATE_DRAINING)
      CountNodeFailure(ledger_, worker, reason);
  }
}

void Supervisor::Act(const std::string& id, const SupervisionDecision& decision) {
  JobRecord* job = ledger_->EditJob(id);
  if (job == nullptr || !HoldsDevices(job->state())) return;  // it timed out in this round
  const std::string reason = Reason(*job, decision);
  spdlog::warn("job {} generation {}: {}", id, job->stored.job.generation(), reason);
  if (job->stored.job.cancel_requested()) return generations_->Fail(job, reason);
  if (decision.action == SupervisionAction::kDropNewcomers) {
    for (const int rank : decision.lost) {
      const Slot slot = {job->members[rank].worker, job->members[rank].device};
      if (++job->lost_newcomers[slot] >= kNewcomerTries) job->avoid.insert(slot);
    }
    return generations_->DropNewcomers(job);
  }
  if (decision.is_failure) {
    CountNodeFailures(*job, decision.lost);
    CountFailure(job);
  }
  if (decision.action == SupervisionAction::kGiveUp) {
    return generations_->Fail(job, absl::StrCat("gave up after ", job->failures,
                                                " failures in a row without a new step; the last: ", reason));
  }
  CountRestart(job, decision);
  if (decision.action == SupervisionAction::kRestart) {
    return generations_->Requeue(
        job, absl::StrCat("queued again, no member is left that has its state: ", reason));
  }
  generations_->Break(job, decision.lost, reason);
}

}  // namespace lockstep
