#include "coordinator/jobs/fleet_journal.h"

#include <utility>

namespace lockstep {

void FleetJournal::Enter(FleetEvent event) {
  fresh_.push_back(event);
  events_.push_back(std::move(event));
  if (events_.size() > kMostFleetEvents) events_.pop_front();
}

void FleetJournal::JobChanged(const std::string& id) {
  if (const auto known = revisions_.find(id); known != revisions_.end())
    jobs_by_revision_.erase(known->second);
  revisions_[id] = ++revision_;
  jobs_by_revision_.emplace(revision_, id);
  if (jobs_by_revision_.size() <= kMostJobs) return;
  const auto oldest = jobs_by_revision_.begin();
  forgotten_ = oldest->first;
  revisions_.erase(oldest->second);
  jobs_by_revision_.erase(oldest);
}

std::vector<FleetEvent> FleetJournal::Add(const Ledger& ledger,
                                          const std::map<std::string, WorkerRecord>& workers,
                                          const std::map<Slot, v1::Cordon>& cordons) {
  for (const auto& [id, was] : ledger.ChangedJobs()) JobChanged(id);
  for (const FleetEvent& event : ledger.events()) Enter(event);
  for (const std::string& name : ledger.EditedWorkers()) {
    const auto old = workers.find(name);
    AddWorker(name, old == workers.end() ? nullptr : &old->second, ledger.FindWorker(name), ledger.now());
  }
  if (ledger.cordons_changed()) AddCordons(cordons, ledger.cordons(), ledger.now());
  return std::exchange(fresh_, {});
}

void FleetJournal::AddWorker(const std::string& name, const WorkerRecord* was, const WorkerRecord* is,
                             absl::Time now) {
  if (is == nullptr) {
    if (was != nullptr) Enter({now, FleetEvent::Kind::kLeft, name, "", "", ""});
  } else if (was == nullptr) {
    Enter({now, FleetEvent::Kind::kJoined, name, "", "", is->host});
  } else if (was->incarnation != is->incarnation) {
    Enter({now, FleetEvent::Kind::kJoined, name, "", "", "its agent was started again"});
  } else if (was->state != is->state) {
    const auto kind = is->state == v1::WORKER_STATE_LOST       ? FleetEvent::Kind::kLost
                      : is->state == v1::WORKER_STATE_DRAINING ? FleetEvent::Kind::kDraining
                                                               : FleetEvent::Kind::kJoined;
    Enter({now, kind, name, "", "", kind == FleetEvent::Kind::kJoined ? "it is back" : ""});
  }
}

void FleetJournal::AddCordons(const std::map<Slot, v1::Cordon>& was, const std::map<Slot, v1::Cordon>& is,
                              absl::Time now) {
  for (const auto& [slot, cordon] : is) {
    if (was.contains(slot)) continue;
    const auto kind = cordon.automatic() ? FleetEvent::Kind::kQuarantined : FleetEvent::Kind::kCordoned;
    Enter({now, kind, slot.worker, slot.device, "", cordon.reason()});
  }
  for (const auto& [slot, cordon] : was) {
    if (is.contains(slot)) continue;
    Enter({now, FleetEvent::Kind::kUncordoned, slot.worker, slot.device, "", ""});
  }
}

JobChanges FleetJournal::Since(int64_t revision) const {
  JobChanges changes;
  changes.revision = revision_;
  changes.complete = revision >= forgotten_ && revision <= revision_;
  if (!changes.complete) return changes;
  for (auto job = jobs_by_revision_.upper_bound(revision); job != jobs_by_revision_.end(); ++job) {
    changes.jobs.push_back(job->second);
  }
  return changes;
}

}  // namespace lockstep
