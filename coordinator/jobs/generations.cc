#include "coordinator/jobs/generations.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "common/base/proto_time.h"
#include "coordinator/jobs/state_machine.h"
#include "spdlog/spdlog.h"

namespace lockstep {
namespace {

// An agent answers an abort within milliseconds; one that never does has forgotten the assignment.
constexpr absl::Duration kAbortPatience = absl::Seconds(10);

std::string Places(const std::vector<Member>& members) {
  return absl::StrJoin(members, ", ", [](std::string* out, const Member& member) {
    absl::StrAppend(out, member.worker, " ", member.device);
  });
}

std::string Devices(size_t count) { return absl::StrCat(count, count == 1 ? " device" : " devices"); }

std::string Note(const JobRecord& job) { return job.note.empty() ? "" : absl::StrCat(", ", job.note); }

}  // namespace

Generations::Generations(Ledger* ledger, std::function<void(const std::string&)> resolve)
    : ledger_(ledger), resolve_(std::move(resolve)) {}

void Generations::Start(const std::string& id, const std::vector<Slot>& slots) {
  JobRecord* job = ledger_->EditJob(id);
  absl::Time queued_at = job->queued_at;
  if (queued_at == absl::InfinitePast() && job->stored.job.generation() == 0) {
    queued_at = FromProto(job->stored.job.submitted_at());
  }
  if (queued_at > absl::InfinitePast()) {
    ledger_->AfterCommit([this, wait = ledger_->now() - queued_at] { queue_waits_.Add(wait); });
  }
  if (!ledger_->Move(job, v1::JOB_STATE_STARTING, absl::StrCat("starting on ", Devices(slots.size()))))
    return;
  job->members.clear();
  job->leaving.clear();
  for (const Slot& slot : slots) job->members.push_back({slot.worker, slot.device});
  job->requeue_when_stopped = job->stepped = job->adopting = job->broken = false;
  job->preempted_by.clear();
  job->stop = v1::Stop::MODE_UNSPECIFIED;
  TakeMembers(job);
  job->accepted_from = job->stored.job.generation();
  TellAll(job);
  job->stored.job.set_reason(
      absl::StrCat("starting on ", Devices(slots.size()), ": ", Places(job->members), Note(*job)));
}

void Generations::Reshape(const std::string& id, const std::vector<Slot>& leaving,
                          const std::vector<Slot>& added) {
  JobRecord* job = ledger_->EditJob(id);
  const size_t before = job->members.size();
  const int64_t old_generation = job->stored.job.generation();
  job->accepted_from = old_generation;
  job->leaving.clear();
  std::erase_if(job->members, [&](const Member& member) {
    const bool leaves =
        std::find(leaving.begin(), leaving.end(), Slot{member.worker, member.device}) != leaving.end();
    if (leaves) job->leaving.push_back(member);
    return leaves;
  });
  for (const Slot& slot : added) job->members.push_back({slot.worker, slot.device});
  TakeMembers(job);
  job->told = false;
  for (size_t rank = 0; rank < job->members.size(); ++rank) {
    if (job->members[rank].since > old_generation) SendAssignment(*job, static_cast<int>(rank));
  }
  if (added.empty()) TellAll(job);
  job->stored.job.set_regrouping(true);
  job->stored.job.set_reason(absl::StrCat("running on ", Devices(before), ", ",
                                          job->members.size() > before ? "growing" : "shrinking", " to ",
                                          job->members.size()));
}

void Generations::Break(JobRecord* job, const std::vector<int>& lost, const std::string& reason) {
  for (auto rank = lost.rbegin(); rank != lost.rend(); ++rank) {
    job->members.erase(job->members.begin() + *rank);
  }
  std::erase_if(job->members, [](const Member& member) { return HasEnded(member.state); });
  job->broken = true;
  job->broken_reason = reason;
  job->adopting = false;
  job->deadline = job->interrupted_at = absl::InfiniteFuture();
  job->accepted_from = job->stored.job.generation();
  if (job->state() != v1::JOB_STATE_RECOVERING) ledger_->Move(job, v1::JOB_STATE_RECOVERING, reason);
  job->stored.job.set_reason(reason);
  AbortOutsiders(*job);
  ledger_->WantSchedule();
}

void Generations::Mend(const std::string& id, const std::vector<Slot>& added) {
  JobRecord* job = ledger_->EditJob(id);
  const size_t left = job->members.size();
  for (const Slot& slot : added) job->members.push_back({slot.worker, slot.device});
  job->broken = false;
  job->leaving.clear();
  TakeMembers(job);
  job->accepted_from = job->stored.job.generation();
  TellAll(job);
  AbortOutsiders(*job);
  job->stored.job.set_reason(absl::StrCat(
      job->broken_reason, "; going on with ", Devices(left),
      added.empty() ? ""
                    : absl::StrCat(" and ", added.size(), added.size() == 1 ? " newcomer" : " newcomers")));
}

void Generations::DropNewcomers(JobRecord* job) {
  const int64_t generation = job->stored.job.generation();
  std::erase_if(job->members, [&](const Member& member) { return member.since == generation; });
  for (Member& member : job->members) member.state = v1::ASSIGNMENT_STATE_RUNNING;
  job->told = true;
  job->accepted_from = generation;
  job->deadline = absl::InfiniteFuture();
  job->stored.job.clear_members();
  for (size_t rank = 0; rank < job->members.size(); ++rank) {
    v1::JobMember* entry = job->stored.job.add_members();
    entry->set_rank(static_cast<int>(rank));
    entry->set_worker(job->members[rank].worker);
    entry->set_device(job->members[rank].device);
  }
  AbortOutsiders(*job);
  job->stored.job.set_regrouping(false);
  job->stored.job.set_reason(absl::StrCat("running on ", Devices(job->members.size()), Note(*job)));
  ledger_->WantSchedule();
  ApplyWishes(job->id());
}

// The next number for the present members; nothing is sent yet.
void Generations::TakeMembers(JobRecord* job) {
  v1::Job& stored = job->stored.job;
  stored.set_generation(stored.generation() + 1);
  stored.clear_members();
  job->rendezvous_sent = false;
  job->best_before = job->best_step;
  job->reached = 0;
  job->interrupted_at = absl::InfiniteFuture();
  job->deadline = ledger_->now() + ledger_->options().start_timeout;
  for (size_t rank = 0; rank < job->members.size(); ++rank) {
    Member& member = job->members[rank];
    member.state = v1::ASSIGNMENT_STATE_UNSPECIFIED;
    member.address.clear();
    if (member.since == 0) member.since = stored.generation();
    v1::JobMember* entry = stored.add_members();
    entry->set_rank(static_cast<int>(rank));
    entry->set_worker(member.worker);
    entry->set_device(member.device);
    WorkerRecord* worker = ledger_->EditWorker(member.worker);
    worker->holds[member.device] = Hold{job->id(), stored.generation(), static_cast<int>(rank)};
    for (const v1::Device& device : worker->devices) {
      if (rank == 0 && device.id() == member.device && stored.spec().reproducible() &&
          !stored.has_profile()) {
        *stored.mutable_profile() = device.profile();
      }
    }
  }
}

// Orders for all that have none yet; the leaving are told to.
void Generations::TellAll(JobRecord* job) {
  job->told = true;
  for (size_t rank = 0; rank < job->members.size(); ++rank) {
    const bool newcomer = job->members[rank].since == job->stored.job.generation();
    if (!newcomer || job->members[rank].address.empty()) SendAssignment(*job, static_cast<int>(rank));
  }
  for (const Member& member : job->leaving) SendLeave(*job, member);
}

// Whatever else of the job is on any device has no part in its generation.
void Generations::AbortOutsiders(const JobRecord& job) {
  for (const auto& [worker, device] : ledger_->HoldsOf(job.id())) {
    const auto is_there = [&, w = worker, d = device](const Member& member) {
      return member.worker == w && member.device == d;
    };
    if (std::any_of(job.members.begin(), job.members.end(), is_there)) continue;
    if (std::any_of(job.leaving.begin(), job.leaving.end(), is_there)) continue;
    const Hold& hold = ledger_->FindWorker(worker)->holds.at(device);
    if (hold.drop_at == absl::InfiniteFuture()) AbortOne(worker, job.id(), hold.generation, device);
  }
}

void Generations::SendAssignment(const JobRecord& job, int rank) {
  const v1::Job& stored = job.stored.job;
  v1::ConnectResponse message;
  v1::Assignment* assignment = message.mutable_assignment();
  assignment->set_job_id(job.id());
  assignment->set_job_name(stored.name());
  assignment->set_generation(stored.generation());
  assignment->set_rank(rank);
  assignment->set_world(static_cast<int>(job.members.size()));
  assignment->set_device(job.members[rank].device);
  *assignment->mutable_spec() = stored.spec();
  if (job.dataset != nullptr) *assignment->mutable_dataset() = *job.dataset;
  if (stored.has_profile()) *assignment->mutable_required_profile() = stored.profile();
  assignment->set_job_directory(absl::StrCat(ledger_->options().artifact_root, "/jobs/", job.id()));
  assignment->set_restore_from(job.stored.restore_from);
  assignment->set_weights_only(job.stored.weights_only);
  for (size_t i = 0; i < job.members.size(); ++i) {
    if (job.members[i].holds_state) assignment->add_survivors(static_cast<int>(i));
  }
  // While a job grows the members before reach their boundary first; otherwise there is nothing to wait for.
  assignment->set_abandon(!job.growing());
  ledger_->Send(job.members[rank].worker, std::move(message));
}

void Generations::SendRendezvous(const JobRecord& job, int rank) {
  v1::ConnectResponse message;
  v1::RendezvousReady* ready = message.mutable_rendezvous();
  ready->set_job_id(job.id());
  ready->set_generation(job.stored.job.generation());
  ready->set_device(job.members[rank].device);
  for (const Member& member : job.members) ready->add_addresses(member.address);
  ledger_->Send(job.members[rank].worker, std::move(message));
}

void Generations::SendStop(const JobRecord& job, int rank) {
  v1::ConnectResponse message;
  v1::Stop* stop = message.mutable_stop();
  stop->set_job_id(job.id());
  stop->set_generation(job.stored.job.generation());
  stop->set_device(job.members[rank].device);
  stop->set_mode(job.stop);
  ledger_->Send(job.members[rank].worker, std::move(message));
}

void Generations::SendLeave(const JobRecord& job, const Member& member) {
  v1::ConnectResponse message;
  v1::Stop* stop = message.mutable_stop();
  stop->set_job_id(job.id());
  stop->set_generation(job.stored.job.generation());
  stop->set_device(member.device);
  stop->set_mode(v1::Stop::MODE_LEAVE);
  ledger_->Send(member.worker, std::move(message));
}

void Generations::Address(const std::string& id, int rank, const std::string& address) {
  JobRecord* job = ledger_->EditRuntime(id);
  if (job == nullptr || job->broken || rank < 0 || rank >= static_cast<int>(job->members.size())) return;
  job->members[rank].address = address;
  bool newcomers = true, all = true;
  for (const Member& member : job->members) {
    if (!member.address.empty()) continue;
    all = false;
    if (member.since == job->stored.job.generation()) newcomers = false;
  }
  if (newcomers && !job->told) TellAll(job);
  if (!all) return;
  job->rendezvous_sent = true;
  for (size_t i = 0; i < job->members.size(); ++i) SendRendezvous(*job, static_cast<int>(i));
}

void Generations::Repeat(const std::string& id, const Slot& slot) {
  const JobRecord* job = ledger_->FindJob(id);
  if (job == nullptr || job->broken) return;
  for (const Member& member : job->leaving) {
    if (Slot{member.worker, member.device} == slot) return SendLeave(*job, member);
  }
  for (size_t i = 0; i < job->members.size(); ++i) {
    const Member& member = job->members[i];
    const int rank = static_cast<int>(i);
    if (Slot{member.worker, member.device} != slot || HasEnded(member.state)) continue;
    const bool newcomer = member.since == job->stored.job.generation();
    if (member.state == v1::ASSIGNMENT_STATE_UNSPECIFIED && (job->told || newcomer))
      SendAssignment(*job, rank);
    if (job->rendezvous_sent && member.state != v1::ASSIGNMENT_STATE_RUNNING) SendRendezvous(*job, rank);
    if (job->stop != v1::Stop::MODE_UNSPECIFIED) SendStop(*job, rank);
  }
}

void Generations::MemberRuns(JobRecord* job, Member* member) {
  const bool first = member->state != v1::ASSIGNMENT_STATE_RUNNING;
  member->state = v1::ASSIGNMENT_STATE_RUNNING;
  job->stepped = true;
  if (!first || job->broken) return;
  const bool all = std::all_of(job->members.begin(), job->members.end(), [](const Member& other) {
    return other.state == v1::ASSIGNMENT_STATE_RUNNING;
  });
  const std::string running = absl::StrCat("running on ", Devices(job->members.size()), Note(*job));
  const bool recovered = job->state() == v1::JOB_STATE_RECOVERING && all;
  if (recovered && !job->broken_reason.empty()) {
    ledger_->Move(job, v1::JOB_STATE_RUNNING, absl::StrCat(running, ", recovered: ", job->broken_reason));
  } else if (recovered) {
    ledger_->Move(job, v1::JOB_STATE_RUNNING, absl::StrCat(running, ", adopted after a coordinator restart"));
  } else if (job->state() == v1::JOB_STATE_STARTING) {
    ledger_->Move(job, v1::JOB_STATE_RUNNING, running);
  } else if (job->state() == v1::JOB_STATE_RUNNING && job->growing() && all) {
    ledger_->EditJob(job->id())->stored.job.set_reason(running);
  }
  if (job->state() == v1::JOB_STATE_RUNNING && !job->stored.job.has_started_at()) {
    *ledger_->EditJob(job->id())->stored.job.mutable_started_at() = ToProto(ledger_->now());
  }
  if (!all) return;
  if (job->stored.job.regrouping()) ledger_->EditJob(job->id())->stored.job.set_regrouping(false);
  if (job->stop == v1::Stop::MODE_UNSPECIFIED) job->deadline = absl::InfiniteFuture();
  job->accepted_from = job->stored.job.generation();
  job->adopting = false;
  job->broken_reason.clear();
  ledger_->WantSchedule();
  ApplyWishes(job->id());
}

void Generations::ApplyWishes(const std::string& id) {
  JobRecord* job = ledger_->EditRuntime(id);
  if (job == nullptr) return;
  const v1::Job& stored = job->stored.job;
  const bool cancel = stored.cancel_requested(), pause = stored.pause_requested();
  if (!cancel && !pause) return;
  switch (job->state()) {
    case v1::JOB_STATE_QUEUED:
    case v1::JOB_STATE_STARTING:  // nothing is done yet that a checkpoint could keep
      Abort(id);
      if (cancel) {
        ledger_->Move(job, v1::JOB_STATE_CANCELLED, "cancelled before its first step");
      } else {
        ledger_->Move(job, v1::JOB_STATE_PAUSED, "paused before its first step");
      }
      return;
    case v1::JOB_STATE_PAUSED:
    case v1::JOB_STATE_RECOVERING:  // a pause waits until it runs
      if (!cancel) return;
      Abort(id);
      ledger_->Move(job, v1::JOB_STATE_CANCELLED, "cancelled");
      return;
    case v1::JOB_STATE_RUNNING:
      if (cancel && job->growing()) {  // the old and the new members cannot agree on a step now
        Abort(id);
        ledger_->Move(job, v1::JOB_STATE_CANCELLED, "cancelled");
      } else if (cancel) {
        Stop(job, v1::Stop::MODE_CANCEL);
      } else if (!job->growing()) {
        Stop(job, v1::Stop::MODE_PAUSE);
      }
      return;
    default:
      return;
  }
}

void Generations::Stop(JobRecord* job, v1::Stop::Mode mode) {
  if (job->stop == mode) return;
  job->stop = mode;
  job->deadline = ledger_->now() + ledger_->options().start_timeout;
  for (size_t rank = 0; rank < job->members.size(); ++rank) {
    if (!HasEnded(job->members[rank].state)) SendStop(*job, static_cast<int>(rank));
  }
  ledger_->EditJob(job->id())->stored.job.set_reason(
      mode == v1::Stop::MODE_CANCEL ? "stopping at the next step, to be cancelled"
                                    : "writing a checkpoint at the next step, to free its devices");
}

void Generations::Preempt(const std::string& id, const std::string& beneficiary) {
  JobRecord* job = ledger_->EditRuntime(id);
  const v1::Job& other = ledger_->FindJob(beneficiary)->stored.job;
  job->preempted_by =
      absl::StrCat(other.name(), " (", beneficiary, ") of priority ", other.spec().priority());
  job->requeue_when_stopped = true;
  spdlog::info("job {} is preempted: its devices go to {}", id, job->preempted_by);
  Stop(job, v1::Stop::MODE_PAUSE);
  ledger_->EditJob(id)->stored.job.set_reason(
      absl::StrCat("writing a checkpoint at the next step, to give its devices to ", job->preempted_by));
}

void Generations::Stopped(JobRecord* job) {
  const v1::Job& stored = job->stored.job;
  const std::string at = absl::StrCat("at step ", stored.progress().step());
  if (stored.cancel_requested()) {
    ledger_->Move(job, v1::JOB_STATE_CANCELLED, absl::StrCat("cancelled ", at));
  } else if (job->requeue_when_stopped && !stored.pause_requested()) {
    Requeue(job, absl::StrCat("queued again: its devices were given back ", at,
                              job->preempted_by.empty() ? "" : " to ", job->preempted_by));
  } else if (stored.pause_requested()) {
    ledger_->Move(job, v1::JOB_STATE_PAUSED, absl::StrCat("paused ", at));
    job->members.clear();
    job->stored.restore_from = kNewestCheckpoint;
    job->stored.weights_only = false;
  } else {
    Fail(job, "its trainers stopped without having been asked to");
  }
}

void Generations::Succeed(JobRecord* job, int64_t generation, const v1::TrainResult& result) {
  // Reports are levels: the first step may never have been reported apart.
  if (job->state() != v1::JOB_STATE_RUNNING) {
    if (!ledger_->Move(job, v1::JOB_STATE_RUNNING, "all steps done")) return;
  }
  if (!job->stored.job.has_started_at()) {
    *job->stored.job.mutable_started_at() = ToProto(ledger_->now());
  }
  const std::string why = result.stop_reason().empty() ? "all steps done" : result.stop_reason();
  if (!ledger_->Move(job, v1::JOB_STATE_SUCCEEDED, why)) return;
  v1::Job& stored = ledger_->EditJob(job->id())->stored.job;
  *stored.mutable_metrics() = result.metrics();
  if (result.has_confusion_matrix()) *stored.mutable_confusion_matrix() = result.confusion_matrix();
  stored.set_model_sha256(result.model_sha256());
  stored.set_model_bytes(result.model_bytes());
  stored.set_model_path(absl::StrCat(ledger_->options().artifact_root, "/jobs/", job->id(), "/model"));
  // The others end by themselves, or are killed later; those of a generation that came to nothing at once.
  for (const auto& [worker, device] : ledger_->HoldsOf(job->id())) {
    Hold& hold = ledger_->EditWorker(worker)->holds[device];
    hold.drop_at = ledger_->now() + kAbortPatience;
    if (hold.generation > generation) AbortOne(worker, job->id(), hold.generation, device);
  }
}

void Generations::Fail(JobRecord* job, const std::string& reason) {
  Abort(job->id());
  if (job->stored.job.cancel_requested()) {
    ledger_->Move(job, v1::JOB_STATE_CANCELLED, absl::StrCat("cancelled; while it stopped: ", reason));
  } else {
    ledger_->Move(job, v1::JOB_STATE_FAILED, reason);
  }
}

void Generations::Requeue(JobRecord* job, const std::string& reason) {
  Abort(job->id());
  if (!ledger_->Move(job, v1::JOB_STATE_QUEUED, reason)) return;
  job->members.clear();
  job->leaving.clear();
  job->broken = job->adopting = false;
  job->deadline = absl::InfiniteFuture();
  LookForCheckpoint(job);
  ApplyWishes(job->id());
}

void Generations::LookForCheckpoint(JobRecord* job) {
  job->stored.restore_from = kNewestCheckpoint;
  job->stored.weights_only = false;
  ledger_->AfterCommit([this, id = job->id()] { resolve_(id); });
}

void Generations::Abort(const std::string& id) {
  for (const auto& [worker, device] : ledger_->HoldsOf(id)) {
    const Hold& hold = ledger_->EditWorker(worker)->holds[device];
    if (hold.drop_at == absl::InfiniteFuture()) AbortOne(worker, id, hold.generation, device);
  }
}

void Generations::AbortOne(const std::string& worker, const std::string& id, int64_t generation,
                           const std::string& device) {
  WorkerRecord* record = ledger_->EditWorker(worker);
  const auto hold = record->holds.find(device);
  if (hold != record->holds.end() && hold->second.job == id) {
    hold->second.drop_at = std::min(hold->second.drop_at, ledger_->now() + kAbortPatience);
  }
  v1::ConnectResponse message;
  v1::Stop* stop = message.mutable_stop();
  stop->set_job_id(id);
  stop->set_generation(generation);
  stop->set_device(device);
  stop->set_mode(v1::Stop::MODE_ABORT);
  ledger_->Send(worker, std::move(message));
}

}  // namespace lockstep
