// What each namespace with a quota of devices has in use, counted for one pass of the scheduler from the jobs
// that hold some.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/jobs/ledger.h"
#include "coordinator/scheduler/scheduler.h"

namespace lockstep {

class DeviceQuotas {
 public:
  explicit DeviceQuotas(const Ledger* ledger);

  // Into all(); -1: the namespace has no such quota.
  int IndexOf(const std::string& space);
  // As Turns::Room.
  int RoomOf(const std::string& space);
  const std::vector<SchedulerQuota>& all() const { return quotas_; }

 private:
  const Ledger* const ledger_;
  std::map<std::string, int> indices_;
  std::vector<SchedulerQuota> quotas_;
};

}  // namespace lockstep
