// What other threads may read of the control thread's state: workers and counts, as of the last committed
// round. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "coordinator/jobs/agent_reports.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

class Published {
 public:
  // What the store counts before the first round.
  void SetCounts(const std::map<v1::JobState, int64_t>& jobs_by_state);

  // After a commit, before the ledger's round ends.
  void Update(const Ledger& ledger, const ReportCounters& counters, int64_t submits, double schedule_seconds);

  std::vector<v1::Worker> Workers(absl::Time now) const;
  ControllerSnapshot Snapshot() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, WorkerRecord> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<Slot, v1::Cordon> cordons_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::JobMember>> members_ ABSL_GUARDED_BY(mutex_);  // of running jobs
  ControllerSnapshot snapshot_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
