#include "client/cli/chaos_timeline.h"

#include <algorithm>

namespace lockstep {
namespace {

// 0 until every rank's times are known, as after each change of the members.
double StepSeconds(const v1::Job& job) {
  double slowest = 0;
  for (const v1::JobMember& member : job.members()) {
    if (!member.has_times()) return 0;
    const v1::StepTimes& times = member.times();
    slowest = std::max(slowest, times.input() + times.compute() + times.communication() + times.checkpoint());
  }
  return slowest;
}

}  // namespace

void ChaosTimeline::Add(const v1::Job& job, absl::Time now) {
  const std::lock_guard lock(mutex_);
  moments_.push_back(
      {now, job.state(), job.generation(), job.progress().step(), job.regrouping(), StepSeconds(job)});
  last_ = job;
}

v1::Job ChaosTimeline::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

ChaosTimeline::Found ChaosTimeline::Find(absl::Time fault) const {
  Found found;
  int64_t generation = 0, resumed = 0;
  int64_t step = 0;      // before the notice
  int64_t furthest = 0;  // so far
  int64_t lost = 0;
  bool stopped = false;
  for (const Moment& moment : moments_) {
    const bool runs = moment.state == v1::JOB_STATE_RUNNING || moment.state == v1::JOB_STATE_SUCCEEDED;
    if (moment.at <= fault) {
      generation = moment.generation;
      if (moment.step_seconds > 0) found.step_seconds = moment.step_seconds;
    }
    if (moment.at <= fault || (!found.noticed && runs && moment.generation <= generation)) {
      step = furthest = std::max(step, moment.step);
      continue;
    }
    if (!found.noticed) {
      found.noticed = moment.at;
      stopped = !runs;
    } else if (!found.going && runs && !moment.regrouping &&
               (stopped || moment.step > step || moment.state == v1::JOB_STATE_SUCCEEDED)) {
      found.going = moment.at;
      resumed = moment.generation;
    } else if (!found.going) {
      stopped = stopped || !runs;
    } else if (!runs || moment.generation > resumed) {
      break;  // the next disturbance
    }
    // Only another generation does steps again: what is shown after a restart of the coordinator may be old.
    if (moment.generation > generation) lost = std::max(lost, furthest - moment.step);
    const bool is_new = moment.step > furthest;
    furthest = std::max(furthest, moment.step);
    if (!found.going) continue;
    // Until then the progress shown may be that of before.
    if (is_new || lost > 0 || moment.state == v1::JOB_STATE_SUCCEEDED) found.lost_steps = lost;
    if (is_new) break;
  }
  return found;
}

v1::FaultOutcome ChaosTimeline::OutcomeOf(absl::Time fault) const { return OutcomesOf({fault}).front(); }

std::vector<v1::FaultOutcome> ChaosTimeline::OutcomesOf(const std::vector<absl::Time>& faults) const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::FaultOutcome> outcomes;
  absl::Time told = absl::InfinitePast();
  for (const absl::Time fault : faults) {
    const Found found = Find(fault);
    v1::FaultOutcome& outcome = outcomes.emplace_back();
    if (found.noticed) outcome.set_detection_seconds(absl::ToDoubleSeconds(*found.noticed - fault));
    if (!found.going) continue;
    outcome.set_regroup_seconds(absl::ToDoubleSeconds(*found.going - *found.noticed));
    outcome.set_next_step_seconds(absl::ToDoubleSeconds(*found.going - fault));
    if (!found.lost_steps) continue;
    const int64_t lost = *found.going == told ? 0 : *found.lost_steps;
    told = *found.going;
    outcome.set_lost_steps(lost);
    if (lost == 0) {
      outcome.set_lost_seconds(0);
    } else if (found.step_seconds > 0) {
      outcome.set_lost_seconds(static_cast<double>(lost) * found.step_seconds);
    }
  }
  return outcomes;
}

}  // namespace lockstep
