#include "coordinator/jobs/agent_reports.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "common/base/proto_time.h"
#include "common/numerics/reduction_tree.h"
#include "coordinator/jobs/cordons.h"
#include "coordinator/jobs/crash_text.h"
#include "coordinator/jobs/job_time.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/scheduler/stragglers.h"

namespace lockstep {
namespace {

constexpr int kSlowReports = 3;  // in a row make a straggler: about six seconds

bool HoldsDevices(v1::JobState state) {
  return state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING ||
         state == v1::JOB_STATE_RECOVERING;
}

bool AllEnded(const JobRecord& job) {
  return std::all_of(job.members.begin(), job.members.end(),
                     [](const Member& member) { return HasEnded(member.state); });
}

void Reached(JobRecord* job, int64_t generation, int64_t step) {
  job->best_step = std::max(job->best_step, step);
  if (generation == job->stored.job.generation()) job->reached = std::max(job->reached, step);
}

}  // namespace

JobRecord* AgentReports::Holding(const std::string& id, int64_t generation) {
  JobRecord* job = ledger_->EditRuntime(id);
  if (job != nullptr && HoldsDevices(job->state()) && generation <= job->stored.job.generation()) return job;
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
    if (held && !superseded) {
      worker->holds.erase(hold);
      ledger_->WantSchedule();
    }
  } else if (hold == worker->holds.end() || (held && !superseded)) {
    // After a restart of this coordinator: the device is busy, whatever becomes of the job.
    Hold& now = worker->holds[status.device()];
    if (now.generation < status.generation()) now = Hold{status.job_id(), status.generation(), status.rank()};
  }

  if (status.has_time()) DeviceTime(worker_name, status.time());
  JobRecord* job = Holding(status.job_id(), status.generation());
  Member* member = job == nullptr ? nullptr : job->FindMember(worker_name, status.device());
  // A report on a process that was on this device before the member came.
  if (member != nullptr && status.generation() < member->since) {
    ++counters_.stale_reports;
    return;
  }
  if (member == nullptr) {
    if (job != nullptr && LeaverReports(job, worker_name, status)) return;
    if (!ended && !superseded) {
      generations_->AbortOne(worker_name, status.job_id(), status.generation(), status.device());
    }
    return;
  }
  Reached(job, status.generation(), status.step());
  member->heard = std::max(member->heard, status.generation());
  if (ended) return Ended(job, member, status);
  member->gone.clear();  // an earlier process of this device may have ended in an earlier generation
  const bool current = status.generation() == job->stored.job.generation();
  switch (status.state()) {
    case v1::ASSIGNMENT_STATE_RUNNING:
      member->holds_state = true;
      if (!current || job->broken) break;  // still in the generation before: as expected while it grows
      if (status.has_model())
        *ledger_->EditJob(job->id())->stored.job.mutable_model_summary() = status.model();
      CountLostSteps(job, *member, status);
      return generations_->MemberRuns(job, member);
    case v1::ASSIGNMENT_STATE_INTERRUPTED:
      member->holds_state = status.step() >= 0;
      if (current || (job->growing() && !job->told) || job->adopting) {
        member->state = v1::ASSIGNMENT_STATE_INTERRUPTED;
        job->interrupted_at = std::min(job->interrupted_at, ledger_->now());
        job->interruption = absl::StrCat("the trainer of rank ", status.rank(), " on worker ", worker_name,
                                         " lost its peers: ", status.message());
      }
      break;
    default:
      if (current && member->state == v1::ASSIGNMENT_STATE_UNSPECIFIED) member->state = status.state();
  }
}

// One that was to leave goes, or dies on the way out: its peers hold the next order already.
bool AgentReports::LeaverReports(JobRecord* job, const std::string& worker,
                                 const v1::AssignmentStatus& status) {
  const auto leaver = std::find_if(job->leaving.begin(), job->leaving.end(), [&](const Member& member) {
    return member.worker == worker && member.device == status.device();
  });
  if (leaver == job->leaving.end()) return false;
  if (!HasEnded(status.state())) return true;
  if (status.state() == v1::ASSIGNMENT_STATE_SUCCEEDED && status.rank() == 0) {
    generations_->Succeed(ledger_->EditJob(job->id()), status.generation(), status.result());
    return true;
  }
  job->leaving.erase(leaver);
  return true;
}

void AgentReports::Ended(JobRecord* job, Member* member, const v1::AssignmentStatus& status) {
  const std::string id = job->id();
  switch (status.state()) {
    case v1::ASSIGNMENT_STATE_SUCCEEDED:
      member->state = status.state();
      if (status.rank() == 0) {
        generations_->Succeed(ledger_->EditJob(id), status.generation(), status.result());
      }
      return;
    case v1::ASSIGNMENT_STATE_STOPPED:
      if (job->adopting && job->stop == v1::Stop::MODE_UNSPECIFIED) {
        job->requeue_when_stopped = true;  // stopped for the coordinator that was before us
      } else if (job->stop == v1::Stop::MODE_UNSPECIFIED) {
        member->gone = absl::StrCat("the trainer on worker ", member->worker, " ", member->device,
                                    " was stopped: ", status.message());
        member->cause = "trainer_stopped";
        return;
      }
      member->state = status.state();
      if (AllEnded(*job)) generations_->Stopped(ledger_->EditJob(id));
      return;
    case v1::ASSIGNMENT_STATE_FAILED:
      if (status.unfit()) break;
      if (job->stepped && !member->holds_state) break;  // a newcomer: its device cannot serve this job
      if (ledger_->FindWorker(member->worker)->state == v1::WORKER_STATE_DRAINING) break;
      spdlog::warn("job {} generation {}: {}", id, status.generation(),
                   EndText(member->worker, status.rank(), status));
      return generations_->Fail(ledger_->EditJob(id), EndText(member->worker, status.rank(), status));
    default:
      ++counters_.trainer_crashes;
      if (status.corrupt()) Quarantine(ledger_, member->worker, member->device, status.message());
  }
  member->gone = EndText(member->worker, status.rank(), status);
  ledger_->Note(
      {ledger_->now(), FleetEvent::Kind::kFailure, member->worker, member->device, id, member->gone});
  member->cause = status.corrupt()                                ? "corrupt"
                  : status.state() == v1::ASSIGNMENT_STATE_FAILED ? "trainer_failed"
                                                                  : "trainer_crashed";
  if (status.state() == v1::ASSIGNMENT_STATE_FAILED) job->avoid.insert({member->worker, member->device});
  // The order that followed may have reached the agent after the end: it would begin anew there.
  const WorkerRecord* worker = ledger_->FindWorker(member->worker);
  const auto hold = worker->holds.find(member->device);
  if (hold != worker->holds.end() && hold->second.job == id) {
    generations_->AbortOne(member->worker, id, hold->second.generation, member->device);
  }
}

void AgentReports::Times(const std::string& worker, const v1::RankTimes& times) {
  JobRecord* job = Holding(times.job_id(), times.generation());
  const int rank = times.rank();
  if (job == nullptr || job->broken || times.generation() != job->stored.job.generation() || rank < 0 ||
      rank >= std::ssize(job->members) || job->members[rank].worker != worker) {
    return;  // a heartbeat from before a change of the members
  }
  job = ledger_->EditJob(times.job_id());
  auto* members = job->stored.job.mutable_members();
  *members->Mutable(rank)->mutable_times() = times.step();
  const int shards = std::max(job->stored.job.spec().train().logical_shards(), members->size());
  std::vector<RankStep> steps;
  for (const v1::JobMember& member : *members) {
    if (!member.has_times()) return;
    const v1::StepTimes& step = member.times();
    steps.push_back({step.input(),
                     step.compute(),
                     step.communication(),
                     {step.arriving().begin(), step.arriving().end()},
                     step.checkpoint(),
                     ShardsOfRank(shards, members->size(), member.rank()).size()});
  }
  if (steps.size() < 2) return;
  v1::JobMember& reported = *members->Mutable(rank);
  Member& member = job->members[rank];
  const bool flagged = !reported.straggler().empty();
  const std::optional<std::string> why = WhyStraggler(steps, rank, flagged);
  member.slow = why.has_value() ? member.slow + 1 : 0;
  if (!why.has_value() && flagged) {
    spdlog::info("job {}: rank {} on worker {} {} is as fast as the others again", job->id(), rank, worker,
                 reported.device());
  }
  if (why.has_value() && !flagged && member.slow == kSlowReports) {
    spdlog::warn("job {}: the others wait for rank {} on worker {} {}: {}", job->id(), rank, worker,
                 reported.device(), *why);
  }
  reported.set_straggler(why.has_value() && (flagged || member.slow >= kSlowReports) ? *why : "");
}

// Of a job that is final by now, too: the last spell's end comes after rank 0's success.
void AgentReports::DeviceTime(const std::string& worker, const v1::DeviceTime& time) {
  if (JobRecord* job = ledger_->EditRuntime(time.job_id()); job != nullptr) {
    if (NoteDeviceTime(worker, time, &job->stored.time)) ledger_->EditJob(time.job_id());
    return;
  }
  auto stored = ledger_->store()->GetJob(time.job_id());
  if (!stored.ok() || !NoteDeviceTime(worker, time, &stored->time)) return;
  if (auto job = ledger_->LoadJob(time.job_id()); job.ok()) (*job)->stored.time = stored->time;
}

// Those between where the generation begins and where the one before had come to.
void AgentReports::CountLostSteps(JobRecord* job, const Member& member, const v1::AssignmentStatus& status) {
  if (status.rank() != 0 || status.step() <= 0 || member.state == v1::ASSIGNMENT_STATE_RUNNING) return;
  const int64_t lost = job->best_before - (status.step() - 1);
  if (lost <= 0) return;
  JobRecord* edited = ledger_->EditJob(job->id());
  edited->stored.time.set_lost_steps(edited->stored.time.lost_steps() + lost);
}

void AgentReports::Progress(const std::string& worker, const v1::Progress& progress) {
  JobRecord* job = Holding(progress.job_id(), progress.generation());
  if (job == nullptr) return;
  // Points are the same bits whoever reports them, so that even a generation that is over may add some.
  for (const v1::MetricPoint& point : progress.points()) {
    ledger_->batch().points.push_back({progress.job_id(), point});
  }
  job = ledger_->EditJob(progress.job_id());
  v1::Job& stored = job->stored.job;
  Reached(job, progress.generation(), progress.progress().step());
  const auto is_his = [&](const Member& member) { return member.worker == worker; };
  const bool known = std::any_of(job->members.begin(), job->members.end(), is_his) ||
                     std::any_of(job->leaving.begin(), job->leaving.end(), is_his);
  if (progress.generation() < job->accepted_from || !known) {
    ++counters_.stale_reports;
    return;
  }
  if (progress.has_progress()) {
    const v1::JobProgress before = stored.progress();
    counters_.steps += std::max<int64_t>(0, progress.progress().step() - before.step());
    *stored.mutable_progress() = progress.progress();
    if (before.has_first_step_at()) {
      *stored.mutable_progress()->mutable_first_step_at() = before.first_step_at();
    } else if (!stored.progress().has_first_step_at() && stored.progress().step() > 0) {
      *stored.mutable_progress()->mutable_first_step_at() = ToProto(ledger_->now());
    }
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
  JobRecord* job = Holding(address.job_id(), address.generation());
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
    JobRecord* job = Holding(written.job_id(), written.generation());
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

}  // namespace lockstep
