// What agents report of their trainers: states, progress, logs, checkpoints, addresses. Reports of a
// generation that is no longer current change nothing and are counted. Only the control thread calls this.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/ledger.h"

namespace lockstep {

// Since the coordinator's start; read by Snapshot.
struct ReportCounters {
  int64_t steps = 0;
  int64_t checkpoints = 0;
  int64_t checkpoint_failures = 0;
  int64_t trainer_crashes = 0;
  int64_t stale_reports = 0;
};

class AgentReports {
 public:
  AgentReports(Ledger* ledger, Generations* generations) : ledger_(ledger), generations_(generations) {}

  void Status(const std::string& worker, const v1::AssignmentStatus& status);
  void Progress(const std::string& worker, const v1::Progress& progress);
  void Logs(const std::string& worker, const v1::LogLines& logs);
  void Address(const std::string& worker, const v1::RendezvousAddress& address);
  void Checkpoint(const std::string& worker, const v1::CheckpointWritten& written);

  // Failures that waited for a better explanation, starts and stops that took too long, recoveries whose
  // agents did not come back.
  void Tick();

  const ReportCounters& counters() const { return counters_; }

 private:
  JobRecord* Current(const std::string& job, int64_t generation);
  void Ended(JobRecord* job, int rank, const v1::AssignmentStatus& status);
  void Failing(JobRecord* job, int rank, const v1::AssignmentStatus& status);

  Ledger* const ledger_;
  Generations* const generations_;
  ReportCounters counters_;
};

}  // namespace lockstep
