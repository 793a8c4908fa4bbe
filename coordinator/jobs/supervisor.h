// Watches over the jobs that hold devices: after each round of events it asks Supervise what becomes of each,
// and has it done. Only the control thread calls this.
//
//   reports, lost workers, deadlines --> members' records --> Supervise (pure) --> Generations
#pragma once

#include <string>
#include <vector>

#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/ledger.h"
#include "coordinator/scheduler/supervision.h"

namespace lockstep {

class Supervisor {
 public:
  Supervisor(Ledger* ledger, Generations* generations) : ledger_(ledger), generations_(generations) {}

  // All jobs: what time alone brings about. Once per tick.
  void ReviewAll();
  // Those that the round has touched so far. Before each commit.
  void ReviewEdited();

 private:
  void Review(const std::vector<std::string>& jobs);
  SupervisedJob Describe(const JobRecord& job) const;
  // Starts and stops that took too long: the end of the job. Others are Supervise's to judge.
  void FailIfTimedOut(const std::string& id);
  void Act(const std::string& id, const SupervisionDecision& decision);
  std::string Reason(const JobRecord& job, const SupervisionDecision& decision) const;
  // A word of a fixed list: see lockstep_job_restarts_total.
  std::string Cause(const JobRecord& job, const SupervisionDecision& decision) const;
  void CountRestart(JobRecord* job, const SupervisionDecision& decision);
  void CountFailure(JobRecord* job);
  void CountNodeFailures(const JobRecord& job, const std::vector<int>& lost);  // before CountFailure

  Ledger* const ledger_;
  Generations* const generations_;
};

}  // namespace lockstep
