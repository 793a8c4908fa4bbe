// A generation is (job, number, ordered members): the one thing that trainers agree on. This makes them,
// brings their members together, stops them and ends them. Only the control thread calls this.
//
//   Start ---> addresses of all members ---> RendezvousReady ---> first step ---> running
//   Grow  ---> the same, while the members of the generation before keep stepping
//
// A generation ends by Succeed, Fail, Cancelled, Paused or Requeue; the devices are free again as each agent
// reports the end of its assignment.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/jobs/ledger.h"

namespace lockstep {

struct Slot {
  std::string worker;
  std::string device;
};

class Generations {
 public:
  // `resolve` looks for the newest whole checkpoint of a job, elsewhere, and reports back.
  Generations(Ledger* ledger, std::function<void(const std::string& job)> resolve);

  void Start(const std::string& job, const std::vector<Slot>& slots);
  void Grow(const std::string& job, const std::vector<Slot>& added);

  // An agent's RendezvousAddress, of the current generation.
  void Address(const std::string& job, int rank, const std::string& address);

  // Sends (again) what member `rank` needs to go on: its order, the rendezvous, a stop.
  void Repeat(const std::string& job, int rank);

  // The first step of the generation was made by `rank`.
  void MemberRuns(const std::string& job, int rank);

  // Does what pause_requested and cancel_requested ask for, as far as the state allows now.
  void ApplyWishes(const std::string& job);

  // Asks all members to stop at a common step.
  void Stop(JobRecord* job, v1::Stop::Mode mode);
  // All members have obeyed.
  void Stopped(JobRecord* job);

  void Succeed(JobRecord* job, const v1::TrainResult& result);
  void Fail(JobRecord* job, const std::string& reason);
  // Back into the queue, from its newest whole checkpoint.
  void Requeue(JobRecord* job, const std::string& reason);

  // Kills whatever is left of the job on any device.
  void Abort(const std::string& job);
  // Kills one assignment that should not be there.
  void AbortOne(const std::string& worker, const std::string& job, int64_t generation,
                const std::string& device);

 private:
  void SendAssignment(const JobRecord& job, int rank);
  void SendRendezvous(const JobRecord& job, int rank);
  void SendStop(const JobRecord& job, int rank);
  void TakeMembers(JobRecord* job);
  void LookForCheckpoint(JobRecord* job);

  Ledger* const ledger_;
  const std::function<void(const std::string&)> resolve_;
};

}  // namespace lockstep
