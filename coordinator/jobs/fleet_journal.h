// What happened to workers, and which jobs changed when: for those who look at both all the time and must not
// cost more for it. Both are bounded and in memory; the events are in the store as well, and come back from
// it.
//
// Not thread-safe: Published holds its lock around every call.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

class FleetJournal {
 public:
  static constexpr size_t kMostJobs = 20'000;

  // What a committed round changed, against the workers and cordons as they were before it; its events.
  std::vector<FleetEvent> Add(const Ledger& ledger, const std::map<std::string, WorkerRecord>& workers,
                              const std::map<Slot, v1::Cordon>& cordons);

  void Restore(const std::vector<FleetEvent>& events) { events_.assign(events.begin(), events.end()); }

  JobChanges Since(int64_t revision) const;
  std::vector<FleetEvent> Events() const { return {events_.begin(), events_.end()}; }

 private:
  void AddWorker(const std::string& name, const WorkerRecord* was, const WorkerRecord* is, absl::Time now);
  void AddCordons(const std::map<Slot, v1::Cordon>& was, const std::map<Slot, v1::Cordon>& is,
                  absl::Time now);
  void Enter(FleetEvent event);
  void JobChanged(const std::string& id);

  std::deque<FleetEvent> events_;  // oldest first
  std::vector<FleetEvent> fresh_;  // of the round
  int64_t revision_ = 0;
  int64_t forgotten_ = 0;                            // the newest revision whose job is no longer known
  std::map<int64_t, std::string> jobs_by_revision_;  // each job once, under its last change
  std::unordered_map<std::string, int64_t> revisions_;
};

}  // namespace lockstep
