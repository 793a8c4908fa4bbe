// Defaults and ranges of the learning rate's schedules.
#include "common/spec/checks.h"

namespace lockstep::spec {
namespace {

absl::Status CompleteStep(v1::StepSchedule* step) {
  if (!step->has_every_epochs()) step->set_every_epochs(10);
  if (!step->has_factor()) step->set_factor(0.1);
  RETURN_IF_ERROR(AtLeast("train.schedule.step.every_epochs", step->every_epochs(), 1));
  return Positive("train.schedule.step.factor", step->factor());
}

absl::Status CompleteOneCycle(v1::OneCycleSchedule* cycle) {
  if (!cycle->has_rise()) cycle->set_rise(0.3);
  if (!cycle->has_initial_factor()) cycle->set_initial_factor(0.04);
  if (!cycle->has_final_factor()) cycle->set_final_factor(4e-6);
  RETURN_IF_ERROR(InnerFraction("train.schedule.one_cycle.rise", cycle->rise()));
  RETURN_IF_ERROR(ZeroToOne("train.schedule.one_cycle.initial_factor", cycle->initial_factor()));
  return ZeroToOne("train.schedule.one_cycle.final_factor", cycle->final_factor());
}

absl::Status CompletePolynomial(v1::PolynomialSchedule* polynomial) {
  if (!polynomial->has_power()) polynomial->set_power(1);
  if (!polynomial->has_final_factor()) polynomial->set_final_factor(0);
  RETURN_IF_ERROR(Positive("train.schedule.polynomial.power", polynomial->power()));
  return ZeroToOne("train.schedule.polynomial.final_factor", polynomial->final_factor());
}

absl::Status CompleteStableDecay(v1::WarmupStableDecaySchedule* stable) {
  if (!stable->has_decay()) stable->set_decay(0.2);
  if (!stable->has_final_factor()) stable->set_final_factor(0);
  RETURN_IF_ERROR(ZeroToOne("train.schedule.warmup_stable_decay.decay", stable->decay()));
  return ZeroToOne("train.schedule.warmup_stable_decay.final_factor", stable->final_factor());
}

absl::Status CompletePlateau(v1::PlateauSchedule* plateau) {
  if (!plateau->has_factor()) plateau->set_factor(0.1);
  if (!plateau->has_patience()) plateau->set_patience(3);
  if (plateau->metric().empty()) plateau->set_metric("validation/loss");
  if (!plateau->has_min_factor()) plateau->set_min_factor(0);
  RETURN_IF_ERROR(InnerFraction("train.schedule.plateau.factor", plateau->factor()));
  RETURN_IF_ERROR(AtLeast("train.schedule.plateau.patience", plateau->patience(), 0));
  RETURN_IF_ERROR(ZeroToOne("train.schedule.plateau.min_factor", plateau->min_factor()));
  return CheckMetricName("train.schedule.plateau.metric", plateau->metric());
}

}  // namespace

absl::Status CompleteSchedule(v1::ScheduleSpec* schedule) {
  if (!schedule->has_warmup_steps()) schedule->set_warmup_steps(0);
  RETURN_IF_ERROR(AtLeast("train.schedule.warmup_steps", schedule->warmup_steps(), 0));
  switch (schedule->kind_case()) {
    case v1::ScheduleSpec::kStep:
      return CompleteStep(schedule->mutable_step());
    case v1::ScheduleSpec::kCosine:
      if (!schedule->cosine().has_final_factor()) schedule->mutable_cosine()->set_final_factor(0);
      return ZeroToOne("train.schedule.cosine.final_factor", schedule->cosine().final_factor());
    case v1::ScheduleSpec::kOneCycle:
      if (schedule->warmup_steps() > 0) {
        return Invalid(
            "train.schedule.warmup_steps",
            "one_cycle has a rise of its own (train.schedule.one_cycle.rise); leave warmup_steps out");
      }
      return CompleteOneCycle(schedule->mutable_one_cycle());
    case v1::ScheduleSpec::kPolynomial:
      return CompletePolynomial(schedule->mutable_polynomial());
    case v1::ScheduleSpec::kWarmupStableDecay:
      return CompleteStableDecay(schedule->mutable_warmup_stable_decay());
    case v1::ScheduleSpec::kPlateau:
      return CompletePlateau(schedule->mutable_plateau());
    case v1::ScheduleSpec::kConstant:
    case v1::ScheduleSpec::KIND_NOT_SET:
      break;
  }
  schedule->mutable_constant();
  return absl::OkStatus();
}

}  // namespace lockstep::spec
