#include <algorithm>
#include <cmath>
#include <numbers>

#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

double BaseRate(const v1::OptimizerSpec& spec) {
  if (spec.has_sgd()) return spec.sgd().has_learning_rate() ? spec.sgd().learning_rate() : 0.01;
  if (spec.has_adam()) return spec.adam().has_learning_rate() ? spec.adam().learning_rate() : 1e-3;
  return spec.adamw().has_learning_rate() ? spec.adamw().learning_rate() : 1e-3;
}

}  // namespace

// Warm-up reaches the full rate at its last step. The kind starts after it: `step` counts its epochs from
// there, and `cosine` is at 1 on its first step and at final_factor on the job's last.
double LearningRate(const v1::TrainSpec& spec, int64_t step, int64_t steps_per_epoch, int64_t total_steps) {
  const double base = BaseRate(spec.optimizer());
  const v1::ScheduleSpec& schedule = spec.schedule();
  const int64_t warmup = schedule.warmup_steps();
  if (step <= warmup) return base * static_cast<double>(step) / static_cast<double>(warmup);
  if (schedule.has_step()) {
    const int64_t every = schedule.step().has_every_epochs() ? schedule.step().every_epochs() : 10;
    const double factor = schedule.step().has_factor() ? schedule.step().factor() : 0.1;
    const int64_t epochs = (step - 1 - warmup) / std::max<int64_t>(steps_per_epoch, 1);
    return base * std::pow(factor, static_cast<double>(epochs / std::max<int64_t>(every, 1)));
  }
  if (schedule.has_cosine()) {
    const int64_t first = std::max<int64_t>(warmup, 1);
    const double progress = std::clamp(
        static_cast<double>(step - first) / static_cast<double>(std::max<int64_t>(total_steps - first, 1)),
        0.0, 1.0);
    const double last = schedule.cosine().final_factor();
    return base * (last + (1.0 - last) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
  }
  return base;
}

}  // namespace lockstep::engine
