#include "coordinator/jobs/visible_workers.h"

#include <map>

namespace lockstep {
namespace {

// Asks for each job once.
class Seen {
 public:
  Seen(Controller* controller, const Scope& scope) : controller_(controller), scope_(scope) {}
  bool operator()(const std::string& job) {
    const auto [known, first] = known_.try_emplace(job, false);
    if (first) known->second = controller_->GetJob(job, scope_).ok();
    return known->second;
  }

 private:
  Controller* const controller_;
  const Scope& scope_;
  std::map<std::string, bool> known_;
};

}  // namespace

std::vector<v1::Worker> WorkersFor(Controller* controller, const Scope& scope) {
  std::vector<v1::Worker> workers = controller->ListWorkers();
  if (scope.only.empty()) return workers;
  Seen seen(controller, scope);
  for (v1::Worker& worker : workers) {
    for (v1::DeviceStatus& status : *worker.mutable_devices()) {
      if (!status.cordoned().empty()) status.set_cordoned("out of service");  // the reason may name a job
      if (status.job_id().empty() || seen(status.job_id())) continue;
      status.clear_job_id();
      status.clear_rank();
      status.set_taken(true);
    }
  }
  return workers;
}

std::vector<FleetEvent> FleetEventsFor(Controller* controller, const Scope& scope) {
  std::vector<FleetEvent> events = controller->FleetEvents();
  if (scope.only.empty()) return events;
  Seen seen(controller, scope);
  std::erase_if(events, [&](const FleetEvent& event) { return !event.job.empty() && !seen(event.job); });
  for (FleetEvent& event : events) {
    if (event.job.empty()) event.text.clear();
  }
  return events;
}

}  // namespace lockstep
