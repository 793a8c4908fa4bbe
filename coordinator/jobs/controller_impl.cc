#include "coordinator/jobs/controller_impl.h"

#include <algorithm>
#include <chrono>

#include "coordinator/jobs/artifact_root.h"
#include "coordinator/jobs/job_files.h"
#include "coordinator/jobs/scheduling.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {
namespace {

constexpr int kRowsAtOnce = 2'000;  // of a job that is deleted: a commit that others wait for stays short

class WatchHandle : public Controller::Subscription {
 public:
  explicit WatchHandle(std::shared_ptr<Watch> watch) : watch_(std::move(watch)) {}
  ~WatchHandle() override {
    // Waits for a callback that runs on the control thread right now.
    std::lock_guard<std::recursive_mutex> lock(watch_->mutex);
    watch_->over = true;
  }

 private:
  const std::shared_ptr<Watch> watch_;
};

}  // namespace

Controller::Impl::Impl(const Controller::Options& controller_options, Store* job_store, Clock* job_clock,
                       const std::string& artifact_root_id, const std::string& last_job_id)
    : options(controller_options),
      store(job_store),
      clock(job_clock),
      ledger(controller_options, job_store, job_clock),
      generations(&ledger, [this](const std::string& job) { Resolve(job); }),
      reports(&ledger, &generations),
      sessions(&ledger, &generations, {RandomId(), artifact_root_id},
               [this](const std::string& worker, const v1::AssignmentStatus& status) {
                 reports.Status(worker, status);
               }),
      supervisor(&ledger, &generations),
      cordons(&ledger, &sessions),
      namespaces(&ledger),
      commands(&ledger, &generations, last_job_id),
      deletions(&ledger, [this](const std::string& job, bool keep_model) { RemoveData(job, keep_model); }),
      watchers(&ledger),
      loop({.tick = std::max(absl::Milliseconds(200), controller_options.heartbeat_interval)},
           {.tick =
                [this] {
                  sessions.Tick();
                  supervisor.ReviewAll();
                },
            .commit = [this] { return CommitRound(); },
            .pump = [this] { return watchers.Pump(); }}) {}

Controller::Impl::~Impl() {
  loop.Stop();
  watchers.EndAll(absl::UnavailableError("the coordinator is shutting down; try again"));
}

absl::Status Controller::Impl::Load() {
  ASSIGN_OR_RETURN(const auto stored_namespaces, store->LoadNamespaces());
  for (const v1::Namespace& space : stored_namespaces) ledger.SetNamespace(space);
  ASSIGN_OR_RETURN(auto active, store->LoadActiveJobs());
  for (StoredJob& stored : active) {
    JobRecord job;
    job.stored = std::move(stored);
    auto dataset = ledger.DatasetOf(job.stored.job);
    if (dataset.ok()) job.dataset = *dataset;
    job.accepted_from = job.stored.job.generation();
    job.best_step = job.stored.job.progress().step();
    job.stepped = job.state() != v1::JOB_STATE_STARTING;
    for (const v1::JobMember& member : job.stored.job.members()) {
      job.members.push_back({member.worker(), member.device()});
    }
    JobRecord* here = ledger.AddJob(std::move(job));
    const v1::JobState state = here->state();
    if (state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING) {
      ledger.Move(here, v1::JOB_STATE_RECOVERING,
                  "the coordinator was restarted and waits for the workers to report");
    }
    here->adopting = here->state() == v1::JOB_STATE_RECOVERING;
    here->deadline = here->state() == v1::JOB_STATE_RECOVERING ? ledger.now() + options.adoption_grace
                                                               : absl::InfiniteFuture();
    if (here->state() == v1::JOB_STATE_QUEUED) {
      if (!dataset.ok()) {
        ledger.Move(here, v1::JOB_STATE_FAILED, std::string(dataset.status().message()));
      } else if (here->stored.restore_from == kNewestCheckpoint) {
        ledger.AfterCommit([this, id = here->id()] { Resolve(id); });
      }
    }
  }
  ASSIGN_OR_RETURN(const auto stored_deletions, store->LoadDeletions());
  for (const StoredDeletion& deletion : stored_deletions) deletions.GoOn(deletion);
  ASSIGN_OR_RETURN(const auto stored_cordons, store->LoadCordons());
  for (const v1::Cordon& cordon : stored_cordons) ledger.SetCordon(cordon);
  RETURN_IF_ERROR(ledger.Commit());
  ledger.RunActions();
  ledger.EndRound();
  ASSIGN_OR_RETURN(const auto counts, store->CountJobs());
  published.SetCounts(counts);
  published.SetJobs(ledger.jobs());
  published.SetCordons(ledger.cordons());
  ASSIGN_OR_RETURN(const auto stored_events, store->LoadFleetEvents());
  published.SetFleetEvents(stored_events);
  published.SetNamespaces(ledger.namespaces());
  return absl::OkStatus();
}

absl::Status Controller::Impl::CommitRound() {
  supervisor.ReviewEdited();
  if (ledger.TakeWantSchedule()) {
    const auto begin = std::chrono::steady_clock::now();
    RunScheduling(&ledger, &generations);
    ledger.TakeWantSchedule();  // what scheduling itself changed needs no second look
    schedule_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  if (absl::Status status = ledger.Commit(); !status.ok()) {
    ledger.Undo();
    return status;
  }
  std::vector<FleetEvent> events = published.Update(ledger, reports.counters(), commands.submits(),
                                                    generations.queue_waits(), schedule_seconds);
  ledger.RunActions();
  watchers.Notify();
  ledger.EndRound();
  Keep(std::move(events));
  return absl::OkStatus();
}

// A commit of their own, whose failure is nobody else's: with a full disk workers still come and go.
void Controller::Impl::Keep(std::vector<FleetEvent> events) {
  if (events.empty()) return;
  std::move(events.begin(), events.end(), std::back_inserter(unkept.fleet_events));
  if (store->Commit(unkept).ok()) {
    unkept.fleet_events.clear();
  } else if (unkept.fleet_events.size() > kMostFleetEvents) {
    unkept.fleet_events.erase(unkept.fleet_events.begin(), unkept.fleet_events.end() - kMostFleetEvents);
  }
}

void Controller::Impl::PostCall(JobCallback done, std::function<void(const JobCallback&)> apply) {
  ControlEvent event;
  event.apply = [done, apply = std::move(apply)] { apply(done); };
  event.fail = [done](const absl::Status& status) { done(status); };
  loop.Post(std::move(event));
}

void Controller::Impl::PostNamespaceCall(const NamespaceCallback& done, std::function<void()> apply) {
  ControlEvent event;
  event.apply = std::move(apply);
  event.fail = [done](const absl::Status& status) { done(status); };
  loop.Post(std::move(event));
}

std::unique_ptr<Controller::Subscription> Controller::Impl::Subscribe(std::shared_ptr<Watch> watch) {
  ControlEvent event;
  event.apply = [this, watch] { ledger.AfterCommit([this, watch] { watchers.Attach(watch); }); };
  event.fail = [watch](const absl::Status& status) {
    std::lock_guard<std::recursive_mutex> lock(watch->mutex);
    if (watch->over) return;
    watch->over = true;
    watch->end(status);
  };
  auto handle = std::make_unique<WatchHandle>(watch);
  loop.Post(std::move(event));
  return handle;
}

void Controller::Impl::Resolve(const std::string& job) {
  background.Do([this, job] {
    auto stored = store->GetJob(job);
    absl::StatusOr<Restore> restore = stored.ok() ? NewestRestore(options.artifact_root, *stored)
                                                  : absl::StatusOr<Restore>(stored.status());
    ControlEvent event;
    event.apply = [this, job, restore] { commands.Resolved(job, restore); };
    loop.Post(std::move(event));
  });
}

void Controller::Impl::RemoveData(const std::string& job, bool keep_model) {
  removals.Do([this, job, keep_model] {
    absl::StatusOr<int64_t> freed = RemoveJobFiles(options.artifact_root, job, keep_model);
    for (bool more = freed.ok(); more;) {
      const absl::StatusOr<bool> rest = store->RemoveSome(job, kRowsAtOnce);
      if (!rest.ok()) freed = rest.status();
      more = rest.ok() && *rest;
    }
    ControlEvent event;
    event.apply = [this, job, freed] { deletions.Removed(job, freed); };
    loop.Post(std::move(event));
  });
}

void Controller::Impl::Heartbeat(const std::string& worker, const v1::Heartbeat& heartbeat) {
  for (const v1::RankTimes& times : heartbeat.times()) reports.Times(worker, times);
  for (const v1::DeviceTime& time : heartbeat.device_times()) reports.DeviceTime(worker, time);
  if (heartbeat.echo() == 0) return;
  v1::ConnectResponse answer;
  answer.mutable_heard()->set_echo(heartbeat.echo());
  ledger.Send(worker, std::move(answer));
}

void Controller::Impl::Dispatch(int64_t session, const v1::ConnectRequest& message) {
  if (message.has_register_()) return sessions.Register(session, message.register_());
  const std::string worker = sessions.Hear(session);
  if (worker.empty()) return;
  switch (message.message_case()) {
    case v1::ConnectRequest::kAssignment:
      return reports.Status(worker, message.assignment());
    case v1::ConnectRequest::kHeartbeat:
      return Heartbeat(worker, message.heartbeat());
    case v1::ConnectRequest::kProgress:
      return reports.Progress(worker, message.progress());
    case v1::ConnectRequest::kLogs:
      return reports.Logs(worker, message.logs());
    case v1::ConnectRequest::kRendezvous:
      return reports.Address(worker, message.rendezvous());
    case v1::ConnectRequest::kCheckpoint:
      return reports.Checkpoint(worker, message.checkpoint());
    case v1::ConnectRequest::kDrain:
      return sessions.Drain(worker);
    default:
      return;  // a message of a newer agent: it lives
  }
}

}  // namespace lockstep
