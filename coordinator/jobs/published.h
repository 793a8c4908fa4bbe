// What other threads may read of the control thread's state: workers and counts, as of the last committed
// round. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "coordinator/jobs/agent_reports.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/fleet_journal.h"
#include "coordinator/jobs/ledger.h"
#include "coordinator/jobs/queue_waits.h"

namespace lockstep {

class Published {
 public:
  // What the store counts before the first round.
  void SetCounts(const std::map<v1::JobState, int64_t>& jobs_by_state);

  // The jobs that were there before the first round.
  void SetJobs(const std::map<std::string, JobRecord>& jobs);
  void SetCordons(const std::map<Slot, v1::Cordon>& cordons);
  void SetFleetEvents(const std::vector<FleetEvent>& events);
  void SetNamespaces(const std::map<std::string, v1::Namespace>& namespaces);

  // After a commit, before the ledger's round ends. What befell workers in the round, which is not yet
  // stored.
  std::vector<FleetEvent> Update(const Ledger& ledger, const ReportCounters& counters, int64_t submits,
                                 const QueueWaits& queue_waits, double schedule_seconds);

  std::vector<v1::Worker> Workers(absl::Time now) const;
  // By name, with what their unfinished jobs hold; storage is the store's to tell.
  std::vector<v1::Namespace> Namespaces() const;
  bool HasNamespace(const std::string& name) const;
  ControllerSnapshot Snapshot() const;
  JobChanges ChangedJobs(int64_t after_revision) const;
  std::vector<FleetEvent> FleetEvents() const;

 private:
  struct Unfinished {
    std::string space;
    bool queued = false;
    int devices = 0;  // that it holds
    int wanted = 0;   // that it would take at most, if it waits or runs
  };

  int64_t DevicesWanted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetUnfinished(const std::string& id, const JobRecord* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, WorkerRecord> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<Slot, v1::Cordon> cordons_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::JobMember>> members_ ABSL_GUARDED_BY(mutex_);  // of running jobs
  FleetJournal journal_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Namespace> namespaces_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Unfinished> unfinished_ ABSL_GUARDED_BY(mutex_);  // jobs, by id
  ControllerSnapshot snapshot_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
