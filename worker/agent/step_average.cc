#include "worker/agent/step_average.h"

#include <algorithm>

namespace lockstep {

void StepAverage::Add(const v1::TrainerTimes& times, const v1::Assignment& order, absl::Time now) {
  if (times.job_id() != order.job_id()) return;  // of the job before
  if (order.job_id() == job_ && order.generation() == generation_) {
    const auto steps = static_cast<double>(times.steps() - from_.steps());
    if (now - began_ < window_ || steps <= 0) return;
    v1::RankTimes& whole = whole_.emplace();
    whole.set_job_id(job_);
    whole.set_generation(generation_);
    whole.set_rank(order.rank());
    v1::StepTimes& step = *whole.mutable_step();
    step.set_input((times.input() - from_.input()) / steps);
    step.set_compute((times.compute() - from_.compute()) / steps);
    step.set_communication((times.communication() - from_.communication()) / steps);
    step.set_checkpoint((times.checkpoint() - from_.checkpoint()) / steps);
    for (int i = 0; i < std::min(times.arriving_size(), from_.arriving_size()); ++i) {
      step.add_arriving((times.arriving(i) - from_.arriving(i)) / steps);
    }
  }
  from_ = times;
  job_ = order.job_id();
  generation_ = order.generation();
  began_ = now;
}

}  // namespace lockstep
