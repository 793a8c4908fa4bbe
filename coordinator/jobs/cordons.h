// Devices out of service: by hand (cordon), or because they have shown to be corrupt or fail again and
// again (quarantine). What runs on one that was cordoned leaves at its next step boundary. Only the control
// thread calls this.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/jobs/agent_sessions.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

class Cordons {
 public:
  Cordons(Ledger* ledger, AgentSessions* sessions) : ledger_(ledger), sessions_(sessions) {}

  using SetCallback = std::function<void(absl::StatusOr<v1::Cordon>)>;
  using RemoveCallback = std::function<void(absl::StatusOr<std::vector<v1::Cordon>>)>;

  // As CordonWorker and UncordonWorker in workers.proto; `done` once it is on disk.
  void Set(const v1::CordonWorkerRequest& request, const SetCallback& done);
  void Remove(const v1::UncordonWorkerRequest& request, const RemoveCallback& done);

 private:
  absl::Status CheckKnown(const std::string& worker, const std::string& device) const;

  Ledger* const ledger_;
  AgentSessions* const sessions_;
};

// Takes a device (empty: all of the worker) out of service because of what it did; stored with the round.
// What runs there goes on: its process may be the last that holds a job's state.
void Quarantine(Ledger* ledger, const std::string& worker, const std::string& device,
                const std::string& reason);

}  // namespace lockstep
