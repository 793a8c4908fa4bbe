#include "coordinator/jobs/published.h"

#include "common/base/proto_time.h"

namespace lockstep {

void Published::SetCounts(const std::map<v1::JobState, int64_t>& jobs_by_state) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [state, count] : jobs_by_state) {
    if (state >= 0 && state < 16) snapshot_.jobs_by_state[state] = count;
  }
}

void Published::Update(const Ledger& ledger, const ReportCounters& counters, int64_t submits,
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
  if (ledger.workers_changed()) workers_ = ledger.workers();
  if (ledger.workers_changed()) cordons_ = ledger.cordons();
  snapshot_.steps_total = counters.steps;
  snapshot_.checkpoints_total = counters.checkpoints;
  snapshot_.checkpoint_failures_total = counters.checkpoint_failures;
  snapshot_.trainer_crashes_total = counters.trainer_crashes;
  snapshot_.submits_total = submits;
  snapshot_.last_schedule_seconds = schedule_seconds;
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

ControllerSnapshot Published::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  ControllerSnapshot snapshot = snapshot_;
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
