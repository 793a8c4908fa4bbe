// A generation is (job, number, ordered members): the one thing that trainers agree on. This makes them,
// brings their members together, stops them and ends them. Only the control thread calls this.
//
//   Start   ---> addresses of all members ---> RendezvousReady ---> first step ---> running
//   Reshape ---> the same, while the members of the generation before keep stepping: newcomers prepare, then
//                the others are told and change over, or leave, at a common boundary
//   Break   ---> what is left of the members waits, and keeps its state
//   Mend    ---> the same as Start for those that are left, and newcomers if they are needed
//
// A generation ends by the next one, or by Succeed, Fail, Stopped or Requeue; the devices are free again as
// each agent reports the end of its assignment.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/jobs/ledger.h"
#include "coordinator/jobs/queue_waits.h"

namespace lockstep {

class Generations {
 public:
  // `resolve` looks for the newest whole checkpoint of a job, elsewhere, and reports back.
  Generations(Ledger* ledger, std::function<void(const std::string& job)> resolve);

  void Start(const std::string& job, const std::vector<Slot>& slots);
  // REQUIRES: the job runs and is not growing; at most one of the two lists holds anything.
  void Reshape(const std::string& job, const std::vector<Slot>& leaving, const std::vector<Slot>& added);
  // The generation cannot go on without `lost` (ranks): the others wait for Mend.
  void Break(JobRecord* job, const std::vector<int>& lost, const std::string& reason);
  void Mend(const std::string& job, const std::vector<Slot>& added);
  // The newcomers of a growth that nobody was told of are given up.
  void DropNewcomers(JobRecord* job);

  // An agent's RendezvousAddress, of the current generation.
  void Address(const std::string& job, int rank, const std::string& address);

  // Sends (again) what the member on that device needs to go on: its order, the rendezvous, a stop.
  void Repeat(const std::string& job, const Slot& slot);

  // `member` of the current generation made its first step.
  void MemberRuns(JobRecord* job, Member* member);

  // Does what pause_requested and cancel_requested ask for, as far as the state allows now.
  void ApplyWishes(const std::string& job);

  // Asks all members to stop at a common step.
  void Stop(JobRecord* job, v1::Stop::Mode mode);
  // Stops a running job at the next step, with a checkpoint, and queues it again: its devices go to another
  // queued job. REQUIRES: the job runs and is not growing; both exist.
  void Preempt(const std::string& job, const std::string& beneficiary);
  // All members have obeyed.
  void Stopped(JobRecord* job);

  // `generation`: of the rank 0 that says so.
  void Succeed(JobRecord* job, int64_t generation, const v1::TrainResult& result);
  void Fail(JobRecord* job, const std::string& reason);
  // Back into the queue, from its newest whole checkpoint.
  void Requeue(JobRecord* job, const std::string& reason);

  // Of the jobs started so far.
  const QueueWaits& queue_waits() const { return queue_waits_; }

  // Kills whatever is left of the job on any device.
  void Abort(const std::string& job);
  // Kills one assignment that should not be there.
  void AbortOne(const std::string& worker, const std::string& job, int64_t generation,
                const std::string& device);

 private:
  void SendAssignment(const JobRecord& job, int rank);
  void SendRendezvous(const JobRecord& job, int rank);
  void SendStop(const JobRecord& job, int rank);
  void SendLeave(const JobRecord& job, const Member& member);
  void TakeMembers(JobRecord* job);
  void TellAll(JobRecord* job);
  void AbortOutsiders(const JobRecord& job);
  void LookForCheckpoint(JobRecord* job);

  Ledger* const ledger_;
  const std::function<void(const std::string&)> resolve_;
  QueueWaits queue_waits_;
};

}  // namespace lockstep
