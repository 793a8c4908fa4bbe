// Who runs where: a pure function of (queue, running jobs, devices) to decisions, each with its reason. It
// keeps no state and knows neither time nor network.
//
// The rules, in this order:
//   1. Jobs are considered by priority; jobs that lost members before others; then in the order of
//      submission.
//   2. Gang start: a job starts when `min` devices of one pool are free, and takes up to `max` of them.
//      A pool is the set of devices that may share a job: for a reproducible job those of one NumericProfile
//      (the pinned one, once a job has it), otherwise those of one device kind.
//   3. Head of line: a job that must wait, though its pool is large enough, reserves every free device of
//   that
//      pool. Later jobs may start on other pools only. So a large job waits for devices to be given back, but
//      never for ever behind small later ones. A job for which no pool is large enough reserves nothing.
//      A job that lost members goes on at once with those that are left, if they are `min`. Otherwise it
//      takes up to `max` devices as soon as there are `min` with those that it holds, and reserves its pool
//      until then.
//   4. Devices that are still free let running jobs grow to `max` inside their pool, in the order of rule 1.
//   5. A running job that holds more than its `max` (somebody scaled it down) gives the highest ranks back. A
//      queued job that could start if running jobs of lower priority shrank to their `min` has them shrink,
//      the lowest priority and the youngest first. If that is not enough, as few of them as possible are
//      preempted, in the same order: they give all their devices back, and are queued again from there. Who
//      would be preempted to no avail, or beside one whose devices are enough alone, is not.
//   6. Quotas: a namespace's jobs hold no more devices than its quota, those included that are about to be
//   given back. A job that must wait for its quota alone keeps what is left of it: later jobs of that
//   namespace wait, and none of them grows; it reserves no device, so that other namespaces' jobs pass by.
//   Jobs of lower priority in the same namespace shrink for it, or are preempted, as in rule 5.
//   7. Few nodes: the devices of a start come from the node that fits them most tightly; if none holds them
//      all, from the nodes with most free devices first.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

struct SchedulerDevice {
  std::string worker;
  std::string device;
  v1::NumericProfile profile;
  bool free = false;
  bool soon_free = false;  // its job has been told to give it back
};

// The devices of a namespace that has a limit.
struct SchedulerQuota {
  std::string space;
  int limit = 0;
  int used = 0;     // by its jobs, those that are being given back included
  int leaving = 0;  // of those: being given back
};

struct SchedulerJob {
  std::string id;  // sorts by submission
  int priority = 0;
  int min = 1;
  int max = 1;
  bool reproducible = true;
  std::string kind;  // of the devices that it asks for, "cpu" or "gpu"; empty: either
  const v1::NumericProfile* pinned = nullptr;  // not owned; nullptr: not started yet
  int held = 0;                                // devices that it runs on
  std::vector<int> devices;  // running jobs: those that they hold, by rank; -1: not among those given
  bool broken = false;       // it lost members: `held` are left, and wait
  int quota = -1;            // index into the quotas given; -1: it has none
  std::set<std::pair<std::string, std::string>> avoid;  // (worker, device) that cannot serve it
};

struct SchedulerOptions {
  int considered = 256;  // queued jobs that are looked at, not counting those that only their quota makes
                         // wait; those behind wait their turn
};

struct Placement {
  std::string job;
  std::vector<int> devices;  // indices into the devices given, in rank order
};

struct Shrink {
  std::string job;
  std::vector<int> ranks;  // that leave
};

struct Preemption {
  std::string job;          // that gives all its devices back
  std::string beneficiary;  // the queued job that needs them
};

struct WaitReason {
  std::string job;
  std::string reason;
};

struct Decisions {
  std::vector<Placement> starts;
  std::vector<Placement> mends;  // broken jobs that go on; the added devices only
  std::vector<Placement> grows;  // the added devices only
  std::vector<Shrink> shrinks;
  std::vector<Preemption> preemptions;
  std::vector<WaitReason> waits;  // one for each considered job that did not start
};

// `queued`, with the broken ones, in any order; `running`: those that may change their size now. REQUIRES:
// min <= max.
Decisions Schedule(std::vector<SchedulerJob> queued, std::vector<SchedulerJob> running,
                   const std::vector<SchedulerDevice>& devices, const SchedulerOptions& options = {},
                   std::vector<SchedulerQuota> quotas = {});

}  // namespace lockstep
