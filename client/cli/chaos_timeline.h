// What a job went through, as its watch stream told it, and what can be said of a fault from that.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/library/cancellation.h"
#include "lockstep/v1/chaos.pb.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

class ChaosTimeline {
 public:
  void Add(const v1::Job& job, absl::Time now);

  v1::Job last() const;

  // noticed, next_step and steps_redone of a fault that was done at `fault`, as far as they are known by now.
  //
  //   noticed    the job is not running any more, or a generation is ordered that was not there
  //   next step  after that: it runs again (every member has done a step), or, where it never stopped
  //   running, does a further step
  v1::FaultOutcome OutcomeOf(absl::Time fault) const;

 private:
  struct Moment {
    absl::Time at;
    v1::JobState state;
    int64_t generation, step;
    bool regrouping;
  };

  mutable std::mutex mutex_;
  std::vector<Moment> moments_;  // guarded by mutex_
  v1::Job last_;                 // guarded by mutex_
};

}  // namespace lockstep
