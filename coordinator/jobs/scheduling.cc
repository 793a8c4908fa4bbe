#include "coordinator/jobs/scheduling.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/jobs/device_quotas.h"
#include "coordinator/scheduler/scheduler.h"

namespace lockstep {
namespace {

// Its job has been told to give the device back.
bool IsLeaving(const Ledger& ledger, const std::string& id, const Slot& slot) {
  const JobRecord* job = ledger.FindJob(id);
  if (job != nullptr && job->stop != v1::Stop::MODE_UNSPECIFIED) return true;
  return job != nullptr && std::any_of(job->leaving.begin(), job->leaving.end(), [&](const Member& member) {
           return Slot{member.worker, member.device} == slot;
         });
}

std::vector<SchedulerDevice> ReadyDevices(const Ledger& ledger) {
  std::vector<SchedulerDevice> devices;
  for (const auto& [name, worker] : ledger.workers()) {
    if (worker.state != v1::WORKER_STATE_READY || worker.session == 0 || !worker.storage_known) continue;
    for (const v1::Device& device : worker.devices) {
      if (ledger.FindCordon(name, device.id()) != nullptr) continue;
      const auto hold = worker.holds.find(device.id());
      const bool free = hold == worker.holds.end();
      const bool leaving = !free && IsLeaving(ledger, hold->second.job, {name, device.id()});
      devices.push_back({name, device.id(), device.profile(), free, leaving});
    }
  }
  return devices;
}

// That would be ready else.
int64_t CordonedDevices(const Ledger& ledger) {
  int64_t count = 0;
  for (const auto& [name, worker] : ledger.workers()) {
    if (worker.state != v1::WORKER_STATE_READY || worker.session == 0) continue;
    count += std::count_if(worker.devices.begin(), worker.devices.end(),
                           [&ledger, name = name](const v1::Device& device) {
                             return ledger.FindCordon(name, device.id()) != nullptr;
                           });
  }
  return count;
}

SchedulerJob Describe(const JobRecord& job, DeviceQuotas* quotas) {
  const v1::Job& stored = job.stored.job;
  SchedulerJob out;
  out.id = stored.id();
  out.priority = stored.spec().priority();
  out.min = LeastWorkers(stored);
  out.max = MostWorkers(stored);
  out.reproducible = stored.spec().reproducible();
  switch (stored.spec().workers().device()) {
    case v1::DEVICE_KIND_CPU:
      out.kind = "cpu";
      break;
    case v1::DEVICE_KIND_GPU:
      out.kind = "gpu";
      break;
    default:
      break;
  }
  out.held = static_cast<int>(job.members.size());
  out.broken = job.broken;
  out.quota = quotas->IndexOf(stored.namespace_());
  for (const Slot& slot : job.avoid) out.avoid.emplace(slot.worker, slot.device);
  if (stored.has_profile()) out.pinned = &stored.profile();
  return out;
}

// The profile that a running job's first member has; nullptr if its worker is not there just now.
const v1::NumericProfile* ProfileInUse(const Ledger& ledger, const JobRecord& job) {
  const WorkerRecord* worker = ledger.FindWorker(job.members.front().worker);
  if (worker == nullptr) return nullptr;
  for (const v1::Device& device : worker->devices) {
    if (device.id() == job.members.front().device) return &device.profile();
  }
  return nullptr;
}

bool MayChangeSize(const JobRecord& job) {
  return job.state() == v1::JOB_STATE_RUNNING && !job.growing() && job.stop == v1::Stop::MODE_UNSPECIFIED &&
         !job.broken && !job.members.empty() &&
         std::all_of(job.members.begin(), job.members.end(),
                     [](const Member& member) { return member.state == v1::ASSIGNMENT_STATE_RUNNING; });
}

}  // namespace

void RunScheduling(Ledger* ledger, Generations* generations) {
  const SchedulerOptions options;
  if (ledger->queue().empty() && ledger->holding().empty()) return;
  const std::vector<SchedulerDevice> devices = ReadyDevices(*ledger);
  std::map<std::pair<std::string_view, std::string_view>, int>
      places;  // of the devices, by worker and device
  for (size_t i = 0; i < devices.size(); ++i)
    places[{devices[i].worker, devices[i].device}] = static_cast<int>(i);
  std::vector<SchedulerJob> queued, running;
  DeviceQuotas quotas(ledger);
  const auto room = [&quotas](const std::string& space) { return quotas.RoomOf(space); };
  for (const std::string& id : ledger->queue().Take(options.considered, room)) {
    const JobRecord& job = *ledger->FindJob(id);
    if (job.stored.restore_from != kNewestCheckpoint) queued.push_back(Describe(job, &quotas));
  }
  for (const std::string& id : ledger->holding()) {
    const JobRecord& job = *ledger->FindJob(id);
    if (!job.broken && !MayChangeSize(job)) continue;
    SchedulerJob described = Describe(job, &quotas);
    if (described.pinned == nullptr) described.pinned = ProfileInUse(*ledger, job);
    for (const Member& member : job.members) {
      const auto found = places.find({member.worker, member.device});
      described.devices.push_back(found == places.end() ? -1 : found->second);
    }
    (job.broken ? queued : running).push_back(std::move(described));
  }
  if (queued.empty() && running.empty()) return;
  const Decisions decisions = Schedule(std::move(queued), std::move(running), devices, options, quotas.all());

  const auto slots = [&devices](const Placement& placement) {
    std::vector<Slot> out;
    for (const int index : placement.devices) out.push_back({devices[index].worker, devices[index].device});
    return out;
  };
  for (const Placement& start : decisions.starts) generations->Start(start.job, slots(start));
  for (const Placement& mend : decisions.mends) generations->Mend(mend.job, slots(mend));
  for (const Shrink& shrink : decisions.shrinks) {
    std::vector<Slot> leaving;
    for (const int rank : shrink.ranks) {
      const Member& member = ledger->FindJob(shrink.job)->members[rank];
      leaving.push_back({member.worker, member.device});
    }
    generations->Reshape(shrink.job, leaving, {});
  }
  for (const Preemption& preemption : decisions.preemptions)
    generations->Preempt(preemption.job, preemption.beneficiary);
  for (const Placement& grow : decisions.grows) generations->Reshape(grow.job, {}, slots(grow));
  const int64_t cordoned = CordonedDevices(*ledger);
  for (const WaitReason& wait : decisions.waits) {
    const JobRecord* job = ledger->FindJob(wait.job);
    std::string reason =
        job->broken ? absl::StrCat(job->broken_reason, "; ", job->members.size(), " left, ", wait.reason)
                    : wait.reason;
    if (cordoned > 0) absl::StrAppend(&reason, " (", cordoned, " more cordoned, see `lockstep workers`)");
    if (job->stored.job.reason() == reason) continue;
    ledger->EditJob(wait.job)->stored.job.set_reason(reason);
  }
}

}  // namespace lockstep
