#include "coordinator/scheduler/scheduler.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/scheduler/placement.h"
#include "coordinator/scheduler/profile.h"

namespace lockstep {
namespace {

struct Pool {
  std::vector<int> all;
  std::vector<int> free;
};
using Pools = std::map<int, Pool>;  // by place in the order of the pools' keys

class Pass {
 public:
  Pass(const std::vector<SchedulerDevice>& devices, const SchedulerOptions& options,
       std::vector<SchedulerQuota> quotas)
      : devices_(devices),
        options_(options),
        taken_(devices.size()),
        reserved_(devices.size()),
        quotas_(std::move(quotas)),
        kept_(quotas_.size()) {
    for (const SchedulerDevice& device : devices) {
      keys_.push_back(ProfileKey(device.profile));
      profiles_.emplace(keys_.back(), 0);
      kinds_.emplace(device.profile.device_kind(), 0);
    }
    // Comparing long keys for each job and device would be most of a pass.
    for (auto* places : {&profiles_, &kinds_}) {
      int place = 0;
      for (auto& [key, at] : *places) at = place++;
    }
    for (size_t i = 0; i < devices.size(); ++i) {
      by_profile_.push_back(profiles_.at(keys_[i]));
      by_kind_.push_back(kinds_.at(devices[i].profile.device_kind()));
    }
  }

  Decisions Run(std::vector<SchedulerJob> queued, std::vector<SchedulerJob> running) {
    SortByTurn(queued);
    SortByTurn(running);
    int considered = 0;
    running_ = std::move(running);
    for (SchedulerJob& job : running_) {
      if (job.held > job.max) GiveBack(&job, job.held - job.max, nullptr);
    }
    for (const SchedulerJob& job : queued) {
      if (considered == options_.considered) break;
      if (Consider(job)) ++considered;
    }
    for (const SchedulerJob& job : running_) Grow(job);
    return std::move(decisions_);
  }

 private:
  static void SortByTurn(std::vector<SchedulerJob>& jobs) {
    std::sort(jobs.begin(), jobs.end(), [](const SchedulerJob& a, const SchedulerJob& b) {
      if (a.priority != b.priority) return a.priority > b.priority;
      return a.broken != b.broken ? a.broken : a.id < b.id;
    });
  }

  static int PlaceOf(const std::map<std::string, int>& places, const std::string& key) {
    const auto found = places.find(key);
    return found == places.end() ? -1 : found->second;
  }

  bool Usable(int device) const { return devices_[device].free && !taken_[device] && !reserved_[device]; }

  // The devices that could serve `job`, by pool.
  Pools PoolsFor(const SchedulerJob& job) const {
    const std::vector<int>& places = job.reproducible ? by_profile_ : by_kind_;
    const bool bound = job.reproducible && job.pinned != nullptr;
    const int pinned = bound ? PlaceOf(profiles_, ProfileKey(*job.pinned)) : 0;
    // What is left of a job that lost members sums with devices of its own kind alone.
    const bool at_work = !job.reproducible && job.pinned != nullptr && job.held > 0;
    Pools pools;
    for (size_t i = 0; i < devices_.size(); ++i) {
      if (bound && places[i] != pinned) continue;
      if (!job.kind.empty() && devices_[i].profile.device_kind() != job.kind) continue;
      if (at_work && devices_[i].profile.device_kind() != job.pinned->device_kind()) continue;
      if (!job.avoid.empty() && job.avoid.contains({devices_[i].worker, devices_[i].device})) continue;
      Pool& pool = pools[places[i]];
      pool.all.push_back(static_cast<int>(i));
      if (Usable(static_cast<int>(i))) pool.free.push_back(static_cast<int>(i));
    }
    return pools;
  }

  // False: its quota alone makes it wait.
  bool Consider(const SchedulerJob& job) {
    if (job.broken && job.held >= job.min) {
      Take({job.id, {}}, job, &decisions_.mends);
      return true;
    }
    const int needed = job.min - job.held, most = std::min(job.max - job.held, QuotaLeft(job));
    if (most < needed) {
      WaitForQuota(job, needed);
      return false;
    }
    const Pools pools = PoolsFor(job);
    const Pool* most_free = nullptr;
    const Pool* largest = nullptr;
    for (const auto& [key, pool] : pools) {
      if (most_free == nullptr || pool.free.size() > most_free->free.size()) most_free = &pool;
      if (largest == nullptr || pool.all.size() > largest->all.size()) largest = &pool;
    }
    if (most_free != nullptr && static_cast<int>(most_free->free.size()) >= needed) {
      const int count = std::min<int>(most, static_cast<int>(most_free->free.size()));
      Take({job.id, PickDevices(devices_, most_free->free, count)}, job,
           job.broken ? &decisions_.mends : &decisions_.starts);
      return true;
    }
    if (largest == nullptr || static_cast<int>(largest->all.size()) < job.min) {
      decisions_.waits.push_back({job.id, WhyNever(job, pools, largest)});
      return true;
    }
    MakeRoom(job, needed, *largest);
    decisions_.waits.push_back({job.id, WhyNotYet(job, *largest)});
    for (const int device : largest->all) reserved_[device] = true;
    if (job.quota >= 0) quotas_[job.quota].used += needed;  // else later jobs take it in another pool
    return true;
  }

  // How many more devices its namespace lets it take.
  int QuotaLeft(const SchedulerJob& job) const {
    if (job.quota < 0) return std::numeric_limits<int>::max();
    const SchedulerQuota& quota = quotas_[job.quota];
    return kept_[job.quota] ? 0 : std::max(0, quota.limit - quota.used);
  }

  void WaitForQuota(const SchedulerJob& job, int needed) {
    const SchedulerQuota& quota = quotas_[job.quota];
    std::string reason =
        absl::StrCat("waiting for the quota of namespace ", quota.space, ": it has ", quota.used, " of its ",
                     Devices(quota.limit), " in use, and the job needs ", needed);
    if (job.held > 0) absl::StrAppend(&reason, " more");
    if (job.min > quota.limit) {
      absl::StrAppend(&reason, "; lower workers.min, or ask an admin for more");  // and nobody waits for it
    } else if (kept_[job.quota]) {
      absl::StrAppend(&reason, ", after jobs ahead of it there");
    } else {
      kept_[job.quota] = true;
      MakeRoomInQuota(job, needed - std::max(0, quota.limit - quota.used) - quota.leaving);
    }
    decisions_.waits.push_back({job.id, std::move(reason)});
  }

  // Makes jobs of lower priority in the same namespace give devices back, if `job` can have what is missing.
  void MakeRoomInQuota(const SchedulerJob& job, int missing) {
    if (missing <= 0) return;  // what was ordered before is on its way
    std::vector<Victim> victims;
    for (auto other = running_.rbegin(); other != running_.rend(); ++other) {
      if (other->quota == job.quota && MayGive(*other, job)) {
        victims.push_back({&*other, other->held - other->min, other->held});
      }
    }
    Collect(job, missing, std::move(victims), nullptr);
  }

  // Makes jobs of lower priority give devices back, if `job` can have what it needs.
  void MakeRoom(const SchedulerJob& job, int needed, const Pool& pool) {
    int missing = needed;
    for (const int device : pool.all) {
      if (Usable(device) || (devices_[device].soon_free && !reserved_[device])) --missing;
    }
    if (missing <= 0) return;  // what was ordered before is on its way
    const std::set<int> useful(pool.all.begin(), pool.all.end());
    std::vector<Victim> victims;
    // They are in the order of their turn, so from the back.
    for (auto other = running_.rbegin(); other != running_.rend(); ++other) {
      if (!MayGive(*other, job)) continue;
      const auto is_useful = [&](int device) { return useful.contains(device); };
      const auto count =
          static_cast<int>(std::count_if(other->devices.begin(), other->devices.end(), is_useful));
      if (count > 0) victims.push_back({&*other, std::min(other->held - other->min, count), count});
    }
    Collect(job, missing, std::move(victims), &useful);
  }

  struct Victim {
    SchedulerJob* job;
    int spare;  // devices that it can give back and go on
    int all;    // that it gives back if it is preempted
    bool preempted = false;
  };

  static bool MayGive(const SchedulerJob& other, const SchedulerJob& job) {
    return other.priority < job.priority && other.max > 0;  // 0: it is giving devices back already
  }

  // Takes `missing` devices from these, in this order; nothing if they have not as many.
  void Collect(const SchedulerJob& job, int missing, std::vector<Victim> victims,
               const std::set<int>* useful) {
    int given = 0;
    for (const Victim& victim : victims) given += victim.spare;
    for (Victim& victim : victims) {
      if (given >= missing) break;
      if (victim.all == victim.spare) continue;
      victim.preempted = true;
      given += victim.all - victim.spare;
    }
    if (given < missing) return;
    // The last one may have made an earlier one's sacrifice needless; the highest priority is spared first.
    for (auto victim = victims.rbegin(); victim != victims.rend(); ++victim) {
      if (!victim->preempted || given - (victim->all - victim->spare) < missing) continue;
      victim->preempted = false;
      given -= victim->all - victim->spare;
    }
    for (const Victim& victim : victims) {
      if (!victim.preempted) continue;
      victim.job->max = 0;
      missing -= victim.all;
      decisions_.preemptions.push_back({victim.job->id, job.id});
    }
    for (const Victim& victim : victims) {
      if (victim.preempted || victim.spare == 0 || missing <= 0) continue;
      const int count = std::min(missing, victim.spare);
      GiveBack(victim.job, count, useful);
      missing -= count;
    }
  }

  // The highest ranks leave; of those whose device is `useful`, if given.
  void GiveBack(SchedulerJob* job, int count, const std::set<int>* useful) {
    Shrink shrink{job->id, {}};
    for (int rank = job->held - 1; rank >= 0 && count > 0; --rank) {
      if (useful != nullptr && !useful->contains(job->devices[rank])) continue;
      shrink.ranks.push_back(rank);
      --count;
    }
    job->max = 0;  // it does not grow in this pass, nor shrink again
    job->min = job->held;
    decisions_.shrinks.push_back(std::move(shrink));
  }

  void Grow(const SchedulerJob& job) {
    int room = std::min(job.max - job.held, QuotaLeft(job));
    if (room <= 0 || job.pinned == nullptr) return;
    Pools pools = PoolsFor(job);
    const auto pool = pools.find(job.reproducible ? PlaceOf(profiles_, ProfileKey(*job.pinned))
                                                  : PlaceOf(kinds_, job.pinned->device_kind()));
    if (pool == pools.end() || pool->second.free.empty()) return;
    room = std::min<int>(room, static_cast<int>(pool->second.free.size()));
    Take({job.id, PickDevices(devices_, pool->second.free, room)}, job, &decisions_.grows);
  }

  void Take(Placement placement, const SchedulerJob& job, std::vector<Placement>* into) {
    for (const int device : placement.devices) taken_[device] = true;
    if (job.quota >= 0) quotas_[job.quota].used += static_cast<int>(placement.devices.size());
    into->push_back(std::move(placement));
  }

  static std::string Devices(int count) { return absl::StrCat(count, count == 1 ? " device" : " devices"); }

  std::string WhyNotYet(const SchedulerJob& job, const Pool& pool) const {
    int unused = 0, ahead = 0;
    for (const int device : pool.all) {
      if (!devices_[device].free || taken_[device]) continue;
      ++unused;
      if (reserved_[device]) ++ahead;
    }
    std::string reason =
        absl::StrCat("waiting for ", Devices(job.min), ": ", unused, " of ", pool.all.size(),
                     job.pinned != nullptr && job.reproducible ? " with its numeric profile" : "",
                     unused == 1 ? " is free" : " are free");
    if (ahead > 0) absl::StrAppend(&reason, ", kept for a job ahead in the queue");
    return reason;
  }

  std::string WhyNever(const SchedulerJob& job, const Pools& pools, const Pool* largest) const {
    if (devices_.empty()) return absl::StrCat("waiting for ", Devices(job.min), ": no worker is ready");
    if (job.pinned != nullptr && job.reproducible) {
      const int matching = largest == nullptr ? 0 : static_cast<int>(largest->all.size());
      const std::string pinned = ProfileKey(*job.pinned);
      std::set<std::string> differences;
      for (size_t i = 0; i < devices_.size(); ++i) {
        if (keys_[i] == pinned) continue;
        differences.insert(absl::StrCat("on worker ", devices_[i].worker, " ",
                                        ProfileDifference(*job.pinned, devices_[i].profile)));
        if (differences.size() == 3) break;
      }
      std::string reason =
          absl::StrCat("waiting for ", Devices(job.min), " with the job's numeric profile: ", matching,
                       " of ", devices_.size(), " match");
      if (!differences.empty()) absl::StrAppend(&reason, " (", absl::StrJoin(differences, "; "), ")");
      return reason;
    }
    if (pools.size() > 1 && static_cast<int>(devices_.size()) >= job.min) {
      // All together would do: name what keeps them apart.
      const v1::NumericProfile& base = devices_[largest->all.front()].profile;
      for (const auto& [key, pool] : pools) {
        if (&pool == largest) continue;
        return absl::StrCat("waiting for ", Devices(job.min), " with one numeric profile: the ready ",
                            devices_.size(), " differ (on worker ", devices_[pool.all.front()].worker, " ",
                            ProfileDifference(base, devices_[pool.all.front()].profile), ")");
      }
    }
    if (!job.kind.empty()) {
      return absl::StrCat("waiting for ", Devices(job.min), " (workers.device: ", job.kind,
                          "): the ready workers have ", largest == nullptr ? 0 : largest->all.size(),
                          " of that kind and ", devices_.size(),
                          " in all; start more such workers, or lower workers.min");
    }
    return absl::StrCat("waiting for ", Devices(job.min), ": the ready workers have ", devices_.size(),
                        "; start more workers, or lower workers.min");
  }

  const std::vector<SchedulerDevice>& devices_;
  const SchedulerOptions options_;
  std::vector<std::string> keys_;                // by device
  std::map<std::string, int> profiles_, kinds_;  // key to place in their order
  std::vector<int> by_profile_, by_kind_;        // places, by device
  std::vector<SchedulerJob> running_;
  std::vector<bool> taken_;
  std::vector<bool> reserved_;
  std::vector<SchedulerQuota> quotas_;
  std::vector<bool> kept_;  // by quota: what is left of it is for a job that waits
  Decisions decisions_;
};

}  // namespace

Decisions Schedule(std::vector<SchedulerJob> queued, std::vector<SchedulerJob> running,
                   const std::vector<SchedulerDevice>& devices, const SchedulerOptions& options,
                   std::vector<SchedulerQuota> quotas) {
  return Pass(devices, options, std::move(quotas)).Run(std::move(queued), std::move(running));
}

}  // namespace lockstep
