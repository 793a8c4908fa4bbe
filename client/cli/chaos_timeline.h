// What a job went through, as its watch stream told it, and what can be said of a fault from that.
// Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "lockstep/v1/chaos.pb.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

class ChaosTimeline {
 public:
  void Add(const v1::Job& job, absl::Time now);

  v1::Job last() const;

  // Times and lost work of a fault that was done at `fault`, as far as they are known by now.
  //
  //   detection   until the job is not running any more, or a generation is ordered that was not there
  //   regroup     after that: until it runs again (every member has done a step), or, where it never stopped
  //               running, every member has done a step in the new generation
  //   lost steps  how far the progress that the new generation shows lies behind what was shown before
  v1::FaultOutcome OutcomeOf(absl::Time fault) const;

  // The same for each of `faults`, in the order of their times. Work that was lost once is told once: of
  // faults that the job got over with the same step, by the first; the others have lost none.
  std::vector<v1::FaultOutcome> OutcomesOf(const std::vector<absl::Time>& faults) const;

 private:
  struct Moment {
    absl::Time at;
    v1::JobState state;
    int64_t generation, step;
    bool regrouping;
    double step_seconds;  // the slowest rank's time for a step; 0: not known
  };
  struct Found {
    std::optional<absl::Time> noticed, going;
    std::optional<int64_t> lost_steps;
    double step_seconds = 0;  // before the fault; 0: not known
  };

  Found Find(absl::Time fault) const;  // REQUIRES: mutex_ is held

  mutable std::mutex mutex_;
  std::vector<Moment> moments_;  // guarded by mutex_
  v1::Job last_;                 // guarded by mutex_
};

}  // namespace lockstep
