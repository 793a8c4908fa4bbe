#include "client/cli/chaos_timeline.h"

#include <algorithm>

#include "common/base/proto_time.h"

namespace lockstep {

void ChaosTimeline::Add(const v1::Job& job, absl::Time now) {
  const std::lock_guard lock(mutex_);
  moments_.push_back({now, job.state(), job.generation(), job.progress().step(), job.regrouping()});
  last_ = job;
}

v1::Job ChaosTimeline::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

v1::FaultOutcome ChaosTimeline::OutcomeOf(absl::Time fault) const {
  const std::lock_guard lock(mutex_);
  v1::FaultOutcome outcome;
  int64_t generation = 0, step = 0;
  bool noticed = false, stopped = false, going = false;
  for (const Moment& moment : moments_) {
    const bool runs = moment.state == v1::JOB_STATE_RUNNING || moment.state == v1::JOB_STATE_SUCCEEDED;
    if (moment.at <= fault) {
      generation = moment.generation;
      step = std::max(step, moment.step);
    } else if (!noticed && runs && moment.generation <= generation) {
      step = std::max(step, moment.step);  // not noticed yet
    } else if (!noticed) {
      noticed = true;
      stopped = !runs;
      *outcome.mutable_noticed() = ToProto(moment.at - fault);
    } else if (!going && runs && !moment.regrouping &&
               (stopped || moment.step > step || moment.state == v1::JOB_STATE_SUCCEEDED)) {
      going = true;
      *outcome.mutable_next_step() = ToProto(moment.at - fault);
      outcome.set_steps_redone(std::max<int64_t>(0, step - moment.step));
    } else if (!going) {
      stopped = stopped || !runs;
    }
  }
  return outcome;
}

}  // namespace lockstep
