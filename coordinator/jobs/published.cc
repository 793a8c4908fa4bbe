#include "coordinator/jobs/published.h"

#include <algorithm>

#include "common/base/proto_time.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {

void Published::SetCounts(const std::map<v1::JobState, int64_t>& jobs_by_state) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [state, count] : jobs_by_state) {
    if (state >= 0 && state < 16) snapshot_.jobs_by_state[state] = count;
  }
}

void Published::SetJobs(const std::map<std::string, JobRecord>& jobs) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, job] : jobs) SetUnfinished(id, &job);
}

void Published::SetNamespaces(const std::map<std::string, v1::Namespace>& namespaces) {
  absl::MutexLock lock(&mutex_);
  namespaces_ = namespaces;
}

void Published::SetUnfinished(const std::string& id, const JobRecord* job) {
  if (job == nullptr || IsFinal(job->state())) {
    unfinished_.erase(id);
    return;
  }
  Unfinished& kept = unfinished_[id];
  kept = {job->stored.job.namespace_(), job->state() == v1::JOB_STATE_QUEUED, DevicesOf(*job)};
  if (job->state() == v1::JOB_STATE_PAUSED) return;
  kept.wanted = std::max(MostWorkers(job->stored.job), static_cast<int>(job->members.size()));
}

void Published::SetCordons(const std::map<Slot, v1::Cordon>& cordons) {
  absl::MutexLock lock(&mutex_);
  cordons_ = cordons;
}

void Published::SetFleetEvents(const std::vector<FleetEvent>& events) {
  absl::MutexLock lock(&mutex_);
  journal_.Restore(events);
}

std::vector<FleetEvent> Published::Update(const Ledger& ledger, const ReportCounters& counters,
                                          int64_t submits, const QueueWaits& queue_waits,
                                          double schedule_seconds) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, was] : ledger.ChangedJobs()) {
    if (was != v1::JOB_STATE_UNSPECIFIED) --snapshot_.jobs_by_state[was];
    const JobRecord* job = ledger.FindJob(id);
    if (job != nullptr) ++snapshot_.jobs_by_state[job->state()];
    if (job != nullptr && job->state() == v1::JOB_STATE_RUNNING) {
      members_[id].assign(job->stored.job.members().begin(), job->stored.job.members().end());
    } else {
      members_.erase(id);
    }
  }
  for (const std::string& id : ledger.EditedJobs()) SetUnfinished(id, ledger.FindJob(id));
  if (ledger.namespaces_changed()) namespaces_ = ledger.namespaces();
  std::vector<FleetEvent> events = journal_.Add(ledger, workers_, cordons_);
  for (const std::string& name : ledger.EditedWorkers()) {
    if (const WorkerRecord* worker = ledger.FindWorker(name); worker != nullptr) {
      workers_.insert_or_assign(name, *worker);
    } else {
      workers_.erase(name);
    }
  }
  for (const std::string& name : ledger.heard()) {
    const auto known = workers_.find(name);
    if (known != workers_.end()) known->second.last_heard = ledger.FindWorker(name)->last_heard;
  }
  if (ledger.cordons_changed()) cordons_ = ledger.cordons();
  snapshot_.steps_total = counters.steps;
  snapshot_.checkpoints_total = counters.checkpoints;
  snapshot_.checkpoint_failures_total = counters.checkpoint_failures;
  snapshot_.trainer_crashes_total = counters.trainer_crashes;
  snapshot_.submits_total = submits;
  snapshot_.queue_waits = queue_waits;
  snapshot_.last_schedule_seconds = schedule_seconds;
  return events;
}

std::vector<v1::Worker> Published::Workers(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::Worker> workers;
  for (const auto& [name, record] : workers_) {
    v1::Worker& worker = workers.emplace_back();
    worker.set_name(name);
    worker.set_host(record.host);
    worker.set_version(record.version);
    worker.set_state(record.state);
    *worker.mutable_connected_at() = ToProto(record.connected_at);
    *worker.mutable_heartbeat_age() = ToProto(now - record.last_heard);
    for (const v1::Device& device : record.devices) {
      v1::DeviceStatus* status = worker.add_devices();
      *status->mutable_device() = device;
      for (const Slot& slot : {Slot{name, ""}, Slot{name, device.id()}}) {
        if (const auto cordon = cordons_.find(slot); cordon != cordons_.end()) {
          status->set_cordoned(cordon->second.reason());
        }
      }
      const auto hold = record.holds.find(device.id());
      if (hold == record.holds.end()) continue;
      status->set_job_id(hold->second.job);
      status->set_rank(hold->second.rank);
    }
  }
  return workers;
}

std::vector<v1::Namespace> Published::Namespaces() const {
  absl::MutexLock lock(&mutex_);
  std::map<std::string, v1::NamespaceUse> uses;
  for (const auto& [id, job] : unfinished_) {
    v1::NamespaceUse& use = uses[job.space];
    use.set_jobs(use.jobs() + 1);
    use.set_devices(use.devices() + job.devices);
    if (job.queued) use.set_queued_jobs(use.queued_jobs() + 1);
  }
  std::vector<v1::Namespace> spaces;
  for (const auto& [name, space] : namespaces_) {
    spaces.push_back(space);
    *spaces.back().mutable_use() = uses[name];
  }
  return spaces;
}

bool Published::HasNamespace(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  return namespaces_.contains(name);
}

// No more of a namespace than its quota lets it have.
int64_t Published::DevicesWanted() const {
  std::map<std::string_view, int64_t> by_namespace;
  for (const auto& [id, job] : unfinished_) by_namespace[job.space] += job.wanted;
  int64_t wanted = 0;
  for (const auto& [name, count] : by_namespace) {
    const auto space = namespaces_.find(std::string(name));
    const bool limited = space != namespaces_.end() && space->second.quota().has_devices();
    wanted += limited ? std::min(count, space->second.quota().devices()) : count;
  }
  return wanted;
}

JobChanges Published::ChangedJobs(int64_t after_revision) const {
  absl::MutexLock lock(&mutex_);
  return journal_.Since(after_revision);
}

std::vector<FleetEvent> Published::FleetEvents() const {
  absl::MutexLock lock(&mutex_);
  return journal_.Events();
}

ControllerSnapshot Published::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  ControllerSnapshot snapshot = snapshot_;
  snapshot.devices_wanted = DevicesWanted();
  for (const auto& [name, worker] : workers_) {
    ++snapshot.workers_by_state[worker.state];
    if (worker.state == v1::WORKER_STATE_LOST) continue;
    snapshot.devices_total += static_cast<int64_t>(worker.devices.size());
    snapshot.devices_busy += static_cast<int64_t>(worker.holds.size());
  }
  for (const auto& [id, members] : members_) {
    for (const v1::JobMember& member : members) {
      if (member.has_times()) snapshot.ranks.push_back({id, member});
    }
  }
  return snapshot;
}

}  // namespace lockstep
