// Schedules: factors on the optimizer's learning rate, pure functions of the step.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

double CosineBetween(double from, double to, double progress) {
  return to + (from - to) * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

// 0 at the first step after the warm-up, or at its last, which has the full rate; 1 at the job's last step.
double Progress(int64_t step, int64_t warmup, int64_t total_steps) {
  const int64_t first = std::max<int64_t>(warmup, 1);
  const double length = static_cast<double>(std::max<int64_t>(total_steps - first, 1));
  return std::clamp(static_cast<double>(step - first) / length, 0.0, 1.0);
}

// torch.optim.lr_scheduler.OneCycleLR with cosine annealing: its step counts from 0, and the peak is at
// rise * total_steps - 1.
double OneCycle(const v1::OneCycleSchedule& cycle, int64_t step, int64_t total_steps) {
  const double initial = cycle.has_initial_factor() ? cycle.initial_factor() : 0.04;
  const double last = cycle.has_final_factor() ? cycle.final_factor() : 4e-6;
  const double rise = cycle.has_rise() ? cycle.rise() : 0.3;
  const double at = static_cast<double>(std::min(step, total_steps) - 1);
  const double peak = std::max(rise * static_cast<double>(total_steps) - 1.0, 0.0);
  if (at <= peak && peak > 0) return CosineBetween(initial, 1.0, at / peak);
  const double length = static_cast<double>(total_steps - 1) - peak;
  return CosineBetween(1.0, last, length > 0 ? (at - peak) / length : 1.0);
}

double Polynomial(const v1::PolynomialSchedule& polynomial, double progress) {
  const double last = polynomial.final_factor();
  return last + (1.0 - last) * std::pow(1.0 - progress, polynomial.has_power() ? polynomial.power() : 1.0);
}

// Full until the last `decay` of the steps, then linear, so that the job's last step has the final factor.
double StableThenDecay(const v1::WarmupStableDecaySchedule& stable, int64_t step, int64_t warmup,
                       int64_t total_steps) {
  const double decay = stable.has_decay() ? stable.decay() : 0.2;
  const double total = static_cast<double>(total_steps);
  const double begin = std::max(total * (1.0 - decay), static_cast<double>(warmup));
  const double at = static_cast<double>(step);
  if (at <= begin) return 1.0;
  return 1.0 - (1.0 - stable.final_factor()) * std::min((at - begin) / (total - begin), 1.0);
}

double StepFactor(const v1::StepSchedule& schedule, int64_t steps_after_warmup, int64_t steps_per_epoch) {
  const int64_t every = schedule.has_every_epochs() ? schedule.every_epochs() : 10;
  const int64_t epochs = (steps_after_warmup - 1) / std::max<int64_t>(steps_per_epoch, 1);
  return std::pow(schedule.has_factor() ? schedule.factor() : 0.1,
                  static_cast<double>(epochs / std::max<int64_t>(every, 1)));
}

}  // namespace

double BaseLearningRate(const v1::OptimizerSpec& spec) {
  switch (spec.kind_case()) {
    case v1::OptimizerSpec::kSgd:
      return spec.sgd().has_learning_rate() ? spec.sgd().learning_rate() : 0.01;
    case v1::OptimizerSpec::kAdam:
      return spec.adam().has_learning_rate() ? spec.adam().learning_rate() : 1e-3;
    case v1::OptimizerSpec::kAdagrad:
      return spec.adagrad().has_learning_rate() ? spec.adagrad().learning_rate() : 0.01;
    case v1::OptimizerSpec::kRmsprop:
      return spec.rmsprop().has_learning_rate() ? spec.rmsprop().learning_rate() : 0.01;
    case v1::OptimizerSpec::kLion:
      return spec.lion().has_learning_rate() ? spec.lion().learning_rate() : 1e-4;
    case v1::OptimizerSpec::kMuon:
      return spec.muon().has_learning_rate() ? spec.muon().learning_rate() : 0.02;
    case v1::OptimizerSpec::kAdamw:
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return spec.adamw().has_learning_rate() ? spec.adamw().learning_rate() : 1e-3;
}

// Warm-up reaches the full rate at its last step. The kind starts after it: `step` counts its epochs from
// there, and `cosine` and `polynomial` are at 1 on their first step and at final_factor on the job's last.
double LearningRate(const v1::TrainSpec& spec, int64_t step, int64_t steps_per_epoch, int64_t total_steps) {
  const double base = BaseLearningRate(spec.optimizer());
  const v1::ScheduleSpec& schedule = spec.schedule();
  const int64_t warmup = schedule.warmup_steps();
  if (step <= warmup) return base * static_cast<double>(step) / static_cast<double>(warmup);
  switch (schedule.kind_case()) {
    case v1::ScheduleSpec::kStep:
      return base * StepFactor(schedule.step(), step - warmup, steps_per_epoch);
    case v1::ScheduleSpec::kCosine:
      return base * CosineBetween(1.0, schedule.cosine().final_factor(), Progress(step, warmup, total_steps));
    case v1::ScheduleSpec::kOneCycle:
      return base * OneCycle(schedule.one_cycle(), step, total_steps);
    case v1::ScheduleSpec::kPolynomial:
      return base * Polynomial(schedule.polynomial(), Progress(step, warmup, total_steps));
    case v1::ScheduleSpec::kWarmupStableDecay:
      return base * StableThenDecay(schedule.warmup_stable_decay(), step, warmup, total_steps);
    case v1::ScheduleSpec::kPlateau:
    case v1::ScheduleSpec::kConstant:
    case v1::ScheduleSpec::KIND_NOT_SET:
      break;
  }
  return base;
}

}  // namespace lockstep::engine
