// Agents come and go: registration, duplicate names, storage check, silence, drain. Only the control thread
// calls this.
//
//   AgentConnected -> Register -> ready -> (Drain -> draining) -> silent for worker_timeout -> lost
//                        '-> refused: closed with ALREADY_EXISTS or FAILED_PRECONDITION
//
// A stream that breaks does not make a worker lost by itself: it has worker_timeout to come back.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

class AgentSessions {
 public:
  struct Identity {
    std::string incarnation;       // of this coordinator
    std::string artifact_root_id;  // content of <artifact_root>/.lockstep-root
  };
  // `report` handles one AssignmentStatus of a registered worker.
  AgentSessions(Ledger* ledger, Generations* generations, Identity identity,
                std::function<void(const std::string& worker, const v1::AssignmentStatus&)> report);

  void Connected(int64_t session, std::shared_ptr<AgentSink> sink);
  void Disconnected(int64_t session);
  void Register(int64_t session, const v1::Register& message);
  void Drain(const std::string& worker);
  // What runs on a device, or on all of the worker ("" for device), leaves at its next step boundary, or, if
  // too few would be left, waits in the queue. `why` completes "worker NAME ...".
  void Vacate(const std::string& worker, const std::string& device, const std::string& why);

  // The worker behind `session`, "" if its messages do not count; notes that it lives.
  std::string Hear(int64_t session);
  void Close(int64_t session, absl::Status status);

  // Declares silent workers lost; forgets those that were lost long ago.
  void Tick();

 private:
  void Lose(const std::string& worker, const std::string& why);
  void Reconcile(const std::string& worker, const v1::Register& message);

  Ledger* const ledger_;
  Generations* const generations_;
  const Identity identity_;
  const std::function<void(const std::string&, const v1::AssignmentStatus&)> report_;
};

}  // namespace lockstep
