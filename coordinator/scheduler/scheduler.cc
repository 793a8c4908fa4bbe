#include "coordinator/scheduler/scheduler.h"

#include <algorithm>
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
using Pools = std::map<std::string, Pool>;

class Pass {
 public:
  Pass(const std::vector<SchedulerDevice>& devices, const SchedulerOptions& options)
      : devices_(devices), options_(options), taken_(devices.size()), reserved_(devices.size()) {
    for (const SchedulerDevice& device : devices) keys_.push_back(ProfileKey(device.profile));
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
      if (considered++ == options_.considered) break;
      Consider(job);
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

  bool Usable(int device) const { return devices_[device].free && !taken_[device] && !reserved_[device]; }

  // The devices that could serve `job`, by pool.
  Pools PoolsFor(const SchedulerJob& job) const {
    const std::string pinned = job.pinned != nullptr ? ProfileKey(*job.pinned) : "";
    Pools pools;
    for (size_t i = 0; i < devices_.size(); ++i) {
      if (job.reproducible && job.pinned != nullptr && keys_[i] != pinned) continue;
      if (!job.avoid.empty() && job.avoid.contains({devices_[i].worker, devices_[i].device})) continue;
      Pool& pool = pools[job.reproducible ? keys_[i] : devices_[i].profile.device_kind()];
      pool.all.push_back(static_cast<int>(i));
      if (Usable(static_cast<int>(i))) pool.free.push_back(static_cast<int>(i));
    }
    return pools;
  }

  void Consider(const SchedulerJob& job) {
    if (job.broken && job.held >= job.min) return Take({job.id, {}}, &decisions_.mends);
    const int needed = job.min - job.held, most = job.max - job.held;
    const Pools pools = PoolsFor(job);
    const Pool* most_free = nullptr;
    const Pool* largest = nullptr;
    for (const auto& [key, pool] : pools) {
      if (most_free == nullptr || pool.free.size() > most_free->free.size()) most_free = &pool;
      if (largest == nullptr || pool.all.size() > largest->all.size()) largest = &pool;
    }
    if (most_free != nullptr && static_cast<int>(most_free->free.size()) >= needed) {
      const int count = std::min<int>(most, static_cast<int>(most_free->free.size()));
      Take({job.id, PickDevices(devices_, most_free->free, count)},
           job.broken ? &decisions_.mends : &decisions_.starts);
      return;
    }
    if (largest == nullptr || static_cast<int>(largest->all.size()) < job.min) {
      decisions_.waits.push_back({job.id, WhyNever(job, pools, largest)});
      return;
    }
    MakeRoom(job, needed, *largest);
    decisions_.waits.push_back({job.id, WhyNotYet(job, *largest)});
    for (const int device : largest->all) reserved_[device] = true;
  }

  // Lets jobs of lower priority shrink, if that gives `job` what it needs.
  void MakeRoom(const SchedulerJob& job, int needed, const Pool& pool) {
    int missing = needed;
    for (const int device : pool.all) {
      if (Usable(device) || (devices_[device].soon_free && !reserved_[device])) --missing;
    }
    if (missing <= 0) return;  // what was ordered before is on its way
    const std::set<int> useful(pool.all.begin(), pool.all.end());
    std::vector<std::pair<SchedulerJob*, int>> victims;
    // They are in the order of their turn, so from the back.
    for (auto other = running_.rbegin(); other != running_.rend() && missing > 0; ++other) {
      if (other->priority >= job.priority || other->held <= other->min) continue;
      const auto is_useful = [&](int device) { return useful.contains(device); };
      const auto count = std::count_if(other->devices.begin(), other->devices.end(), is_useful);
      const int given = std::min({missing, other->held - other->min, static_cast<int>(count)});
      if (given == 0) continue;
      victims.emplace_back(&*other, given);
      missing -= given;
    }
    if (missing > 0) return;
    for (const auto& [victim, count] : victims) GiveBack(victim, count, &useful);
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
    int room = job.max - job.held;
    if (room <= 0 || job.pinned == nullptr) return;
    Pools pools = PoolsFor(job);
    const auto pool = pools.find(job.reproducible ? ProfileKey(*job.pinned) : job.pinned->device_kind());
    if (pool == pools.end() || pool->second.free.empty()) return;
    room = std::min<int>(room, static_cast<int>(pool->second.free.size()));
    Take({job.id, PickDevices(devices_, pool->second.free, room)}, &decisions_.grows);
  }

  void Take(Placement placement, std::vector<Placement>* into) {
    for (const int device : placement.devices) taken_[device] = true;
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
    return absl::StrCat("waiting for ", Devices(job.min), ": the ready workers have ", devices_.size(),
                        "; start more workers, or lower workers.min");
  }

  const std::vector<SchedulerDevice>& devices_;
  const SchedulerOptions options_;
  std::vector<std::string> keys_;  // by device
  std::vector<SchedulerJob> running_;
  std::vector<bool> taken_;
  std::vector<bool> reserved_;
  Decisions decisions_;
};

}  // namespace

Decisions Schedule(std::vector<SchedulerJob> queued, std::vector<SchedulerJob> running,
                   const std::vector<SchedulerDevice>& devices, const SchedulerOptions& options) {
  return Pass(devices, options).Run(std::move(queued), std::move(running));
}

}  // namespace lockstep
