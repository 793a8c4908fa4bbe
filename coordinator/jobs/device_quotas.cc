#include "coordinator/jobs/device_quotas.h"

#include <algorithm>
#include <limits>

namespace lockstep {

DeviceQuotas::DeviceQuotas(const Ledger* ledger) : ledger_(ledger) {
  for (const std::string& id : ledger->holding()) {
    const JobRecord& job = *ledger->FindJob(id);
    const int index = IndexOf(job.stored.job.namespace_());
    if (index < 0) continue;
    quotas_[index].used += DevicesOf(job);
    quotas_[index].leaving += static_cast<int>(job.leaving.size());
    if (job.stop != v1::Stop::MODE_UNSPECIFIED) {
      quotas_[index].leaving += static_cast<int>(job.members.size());
    }
  }
}

int DeviceQuotas::IndexOf(const std::string& space) {
  const auto [index, first] = indices_.try_emplace(space, -1);
  if (!first) return index->second;
  const v1::Namespace* found = ledger_->FindNamespace(space);
  if (found == nullptr || !found->quota().has_devices()) return -1;
  const int64_t most = std::numeric_limits<int>::max();
  index->second = static_cast<int>(quotas_.size());
  quotas_.push_back({space, static_cast<int>(std::min(most, found->quota().devices()))});
  return index->second;
}

int DeviceQuotas::RoomOf(const std::string& space) {
  const int index = IndexOf(space);
  return index < 0 ? Turns::kNoQuota : std::max(0, quotas_[index].limit - quotas_[index].used);
}

}  // namespace lockstep
