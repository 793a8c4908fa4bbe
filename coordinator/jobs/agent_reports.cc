#include "coordinator/jobs/agent_reports.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "common/base/proto_time.h"
#include "coordinator/jobs/crash_text.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {
namespace {

// When a trainer dies, its peers' broken connections may be reported before its own death.
constexpr absl::Duration kFailurePatience = absl::Milliseconds(500);

bool HoldsDevices(v1::JobState state) {
  return state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING ||
         state == v1::JOB_STATE_RECOVERING;
}

bool AllEnded(const JobRecord& job) {
  return std::all_of(job.members.begin(), job.members.end(),
                     [](const Member& member) { return HasEnded(member.state); });
}

}  // namespace

JobRecord* AgentReports::Current(const std::string& id, int64_t generation) {
  JobRecord* job = ledger_->EditRuntime(id);
  if (job != nullptr && HoldsDevices(job->state()) && generation >= job->accepted_from &&
      generation <= job->stored.job.generation()) {
    return job;
  }
  ++counters_.stale_reports;
  return nullptr;
}

void AgentReports::Status(const std::string& worker_name, const v1::AssignmentStatus& status) {
  const bool ended = HasEnded(status.state());
  WorkerRecord* worker = ledger_->EditWorker(worker_name);
  const auto hold = worker->holds.find(status.device());
  const bool held = hold != worker->holds.end() && hold->second.job == status.job_id();
  const bool superseded = held && hold->second.generation > status.generation();
  if (ended) {
    v1::ConnectResponse message;
    v1::ForgetAssignment* forget = message.mutable_forget();
    forget->set_job_id(status.job_id());
    forget->set_generation(status.generation());
    forget->set_device(status.device());
    ledger_->Send(worker_name, std::move(message));
    if (held && hold->second.generation <= status.generation()) {
      worker->holds.erase(hold);
      ledger_->WantSchedule();
    }
  } else if (hold == worker->holds.end()) {
    // After a restart of this coordinator: the device is busy, whatever becomes of the job.
    worker->holds[status.device()] = Hold{status.job_id(), status.generation(), status.rank()};
  }

  JobRecord* job = Current(status.job_id(), status.generation());
  const int rank = status.rank();
  const bool member = job != nullptr && rank >= 0 && rank < static_cast<int>(job->members.size()) &&
                      job->members[rank].worker == worker_name &&
                      job->members[rank].device == status.device();
  if (!member) {
    if (!ended && !superseded) {
      generations_->AbortOne(worker_name, status.job_id(), status.generation(), status.device());
    }
    return;
  }
  const bool previous = status.generation() < job->stored.job.generation();
  if (ended) return Ended(job, rank, status);
  if (previous) return;  // still stepping in the generation before: as expected while it grows
  if (status.state() == v1::ASSIGNMENT_STATE_RUNNING) {
    if (status.has_model()) {
      *ledger_->EditJob(status.job_id())->stored.job.mutable_model_summary() = status.model();
    }
    return generations_->MemberRuns(status.job_id(), rank);
  }
  if (job->members[rank].state == v1::ASSIGNMENT_STATE_UNSPECIFIED) job->members[rank].state = status.state();
}

void AgentReports::Ended(JobRecord* job, int rank, const v1::AssignmentStatus& status) {
  job->members[rank].state = status.state();
  switch (status.state()) {
    case v1::ASSIGNMENT_STATE_SUCCEEDED:
      if (rank == 0) generations_->Succeed(job, status.result());
      return;
    case v1::ASSIGNMENT_STATE_STOPPED:
      if (job->failure.has_value() || !AllEnded(*job)) break;
      if (job->state() == v1::JOB_STATE_RECOVERING) {
        job->requeue_when_stopped = true;  // stopped for the coordinator that was before us
      }
      return generations_->Stopped(job);
    default:
      Failing(job, rank, status);
  }
  if (job->failure.has_value() && AllEnded(*job)) {
    generations_->Fail(ledger_->EditJob(job->id()), std::string(job->failure->reason));
  }
}

// A death explains the errors of its peers, so it is final at once; an error waits a little for a death.
void AgentReports::Failing(JobRecord* job, int rank, const v1::AssignmentStatus& status) {
  const bool crashed = status.state() == v1::ASSIGNMENT_STATE_CRASHED;
  if (crashed) ++counters_.trainer_crashes;
  if (!crashed && job->failure.has_value()) return;  // the first error is the nearest to the cause
  const std::string reason = EndText(job->members[rank].worker, rank, status);
  spdlog::warn("job {} generation {}: {}", job->id(), status.generation(), reason);
  if (crashed || job->members.size() == 1) {
    job->failure.reset();
    return generations_->Fail(ledger_->EditJob(job->id()), reason);
  }
  job->failure = Failure{reason, ledger_->now() + kFailurePatience};
}

void AgentReports::Progress(const std::string& worker, const v1::Progress& progress) {
  JobRecord* job = Current(progress.job_id(), progress.generation());
  if (job == nullptr || job->members.empty() || job->members[0].worker != worker) return;
  job = ledger_->EditJob(progress.job_id());
  v1::Job& stored = job->stored.job;
  if (progress.has_progress()) {
    const v1::JobProgress before = stored.progress();
    counters_.steps += std::max<int64_t>(0, progress.progress().step() - before.step());
    *stored.mutable_progress() = progress.progress();
    if (before.has_first_step_at()) {
      *stored.mutable_progress()->mutable_first_step_at() = before.first_step_at();
    } else if (!stored.progress().has_first_step_at() && stored.progress().step() > 0) {
      *stored.mutable_progress()->mutable_first_step_at() = ToProto(ledger_->now());
    }
    const bool previous = progress.generation() < stored.generation();
    if (stored.progress().step() > 0 && job->state() == v1::JOB_STATE_STARTING && !previous) {
      generations_->MemberRuns(progress.job_id(), 0);
    }
  }
  for (const v1::MetricPoint& point : progress.points()) {
    ledger_->batch().points.push_back({progress.job_id(), point});
  }
}

void AgentReports::Logs(const std::string& worker, const v1::LogLines& logs) {
  if (!ledger_->IsKnown(logs.job_id())) {
    ++counters_.stale_reports;
    return;
  }
  for (const v1::LogLine& line : logs.lines()) {
    StoredLine& stored = ledger_->batch().lines.emplace_back(StoredLine{logs.job_id(), line});
    if (stored.line.worker().empty()) stored.line.set_worker(worker);
  }
}

void AgentReports::Address(const std::string& worker, const v1::RendezvousAddress& address) {
  JobRecord* job = Current(address.job_id(), address.generation());
  const int rank = address.rank();
  if (job == nullptr) return;
  if (address.generation() != job->stored.job.generation() || rank < 0 ||
      rank >= static_cast<int>(job->members.size()) || job->members[rank].worker != worker) {
    ++counters_.stale_reports;
    return;
  }
  generations_->Address(address.job_id(), rank, address.address());
}

void AgentReports::Checkpoint(const std::string&, const v1::CheckpointWritten& written) {
  if (!ledger_->IsKnown(written.job_id())) {
    ++counters_.stale_reports;
    return;
  }
  if (!written.problem().empty()) {
    ++counters_.checkpoint_failures;
    spdlog::warn("job {}: a checkpoint could not be written: {}", written.job_id(), written.problem());
    JobRecord* job = Current(written.job_id(), written.generation());
    if (job != nullptr && job->state() == v1::JOB_STATE_RUNNING) {
      ledger_->EditJob(written.job_id())
          ->stored.job.set_reason(
              absl::StrCat("running on; the checkpoint at step ", written.checkpoint().step(),
                           " could not be written, the one before is intact: ", written.problem()));
    }
  } else {
    ++counters_.checkpoints;
    v1::Checkpoint& stored = ledger_->batch().checkpoints.emplace_back(written.checkpoint());
    stored.set_job_id(written.job_id());
  }
  for (const std::string& path : written.removed()) {
    ledger_->batch().removed_checkpoints.push_back({written.job_id(), path});
  }
}

void AgentReports::Tick() {
  const absl::Time now = ledger_->now();
  std::vector<std::string> due;
  for (const auto& [id, job] : ledger_->jobs()) {
    const bool failed = job.failure.has_value() && now >= job.failure->deadline;
    if (HoldsDevices(job.state()) && (failed || now >= job.deadline)) due.push_back(id);
  }
  for (const std::string& id : due) {
    JobRecord* job = ledger_->EditJob(id);
    if (job->failure.has_value()) {
      generations_->Fail(job, std::string(job->failure->reason));
    } else if (job->state() == v1::JOB_STATE_RECOVERING) {
      generations_->Requeue(
          job, absl::StrCat("queued again after a coordinator restart: ", MissingText(job->members),
                            " within ", absl::FormatDuration(ledger_->options().adoption_grace)));
    } else if (job->stop != v1::Stop::MODE_UNSPECIFIED) {
      generations_->Fail(
          job, absl::StrCat("its trainers did not stop within ",
                            absl::FormatDuration(ledger_->options().start_timeout), " and were killed"));
    } else {
      generations_->Fail(
          job, absl::StrCat(MissingText(job->members), " within ",
                            absl::FormatDuration(ledger_->options().start_timeout), " of the start"));
    }
  }
}

}  // namespace lockstep
