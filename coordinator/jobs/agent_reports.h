// What agents report of their trainers: states, progress, logs, checkpoints, addresses. It is noted with the
// members; what follows from it for the job is the Supervisor's to say, after the round. Reports on processes
// that have no part in the job any more change nothing and are counted. Only the control thread calls this.
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
  void Times(const std::string& worker, const v1::RankTimes& times);
  void DeviceTime(const std::string& worker, const v1::DeviceTime& time);
  void Progress(const std::string& worker, const v1::Progress& progress);
  void Logs(const std::string& worker, const v1::LogLines& logs);
  void Address(const std::string& worker, const v1::RendezvousAddress& address);
  void Checkpoint(const std::string& worker, const v1::CheckpointWritten& written);

  const ReportCounters& counters() const { return counters_; }

 private:
  // nullptr: the job has no devices, or never had this generation.
  JobRecord* Holding(const std::string& job, int64_t generation);
  bool LeaverReports(JobRecord* job, const std::string& worker, const v1::AssignmentStatus& status);
  void CountLostSteps(JobRecord* job, const Member& member, const v1::AssignmentStatus& status);
  void Ended(JobRecord* job, Member* member, const v1::AssignmentStatus& status);

  Ledger* const ledger_;
  Generations* const generations_;
  ReportCounters counters_;
};

}  // namespace lockstep
