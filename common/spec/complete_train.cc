// Defaults and ranges of `train`, but for its optimizer and schedule.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/checks.h"
#include "common/spec/spec.h"

namespace lockstep::spec {
namespace {

absl::Status CompleteEarlyStopping(v1::EarlyStoppingSpec* stopping) {
  if (!stopping->has_patience()) stopping->set_patience(5);
  if (stopping->metric().empty()) stopping->set_metric("validation/loss");
  if (!stopping->has_min_delta()) stopping->set_min_delta(0);
  RETURN_IF_ERROR(AtLeast("train.early_stopping.patience", stopping->patience(), 1));
  RETURN_IF_ERROR(NotNegative("train.early_stopping.min_delta", stopping->min_delta()));
  return CheckMetricName("train.early_stopping.metric", stopping->metric());
}

absl::Status CompleteGroups(v1::TrainSpec* train) {
  for (int i = 0; i < train->groups_size(); ++i) {
    v1::ParameterGroup* group = train->mutable_groups(i);
    const std::string field = absl::StrCat("train.groups[", i, "]");
    if (group->pattern().empty()) {
      return Invalid(field + ".pattern",
                     "missing; expected a pattern of parameter names, for example \"layers.0.*\"");
    }
    if (!group->has_learning_rate_factor()) group->set_learning_rate_factor(1);
    if (group->learning_rate_factor() == 0) {
      return Invalid(field + ".learning_rate_factor",
                     "expected a finite number above 0, got 0; train.freeze keeps parameters as they are");
    }
    RETURN_IF_ERROR(Positive(field + ".learning_rate_factor", group->learning_rate_factor()));
    if (group->has_weight_decay())
      RETURN_IF_ERROR(NotNegative(field + ".weight_decay", group->weight_decay()));
  }
  for (int i = 0; i < train->freeze_size(); ++i) {
    if (!train->freeze(i).empty()) continue;
    return Invalid(absl::StrCat("train.freeze[", i, "]"),
                   "expected a pattern of parameter names, for example \"layers.0.*\", got an empty one");
  }
  return absl::OkStatus();
}

absl::Status CheckClip(const v1::GradientClipSpec& clip) {
  if (!clip.has_norm() && !clip.has_value()) {
    return Invalid("train.gradient_clip", "expected 'norm' or 'value', got neither");
  }
  if (clip.has_norm()) RETURN_IF_ERROR(Positive("train.gradient_clip.norm", clip.norm()));
  if (clip.has_value()) RETURN_IF_ERROR(Positive("train.gradient_clip.value", clip.value()));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMetricName(absl::string_view field, const std::string& metric) {
  const std::vector<std::string> metrics = {"validation/loss", "validation/accuracy",  "validation/f1",
                                            "validation/mse",  "validation/rmse",      "validation/mae",
                                            "validation/r2",   "validation/perplexity"};
  if (std::find(metrics.begin(), metrics.end(), metric) != metrics.end()) return absl::OkStatus();
  std::string nearest = Nearest(metric, metrics);
  if (nearest.empty()) {  // "accuracy" and "val/accuracy" are meant as well
    const size_t slash = metric.rfind('/');
    nearest = Nearest("validation/" + metric.substr(slash == std::string::npos ? 0 : slash + 1), metrics);
  }
  return Invalid(field, absl::StrCat("expected one of ", absl::StrJoin(metrics, ", "), ", got '", metric, "'",
                                     nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
}

absl::Status CompleteTrain(v1::TrainSpec* train) {
  if (!train->has_epochs()) train->set_epochs(10);
  if (!train->has_batch_size()) train->set_batch_size(64);
  if (!train->has_logical_shards()) train->set_logical_shards(8);
  if (!train->has_accumulation()) train->set_accumulation(1);
  if (!train->has_l1()) train->set_l1(0);
  if (!train->has_l2()) train->set_l2(0);
  if (!train->has_label_smoothing()) train->set_label_smoothing(0);
  RETURN_IF_ERROR(InRange("train.epochs", train->epochs(), 1, 1000000));
  RETURN_IF_ERROR(InRange("train.batch_size", train->batch_size(), 1, 1000000));
  RETURN_IF_ERROR(InRange("train.logical_shards", train->logical_shards(), 1, 1024));
  RETURN_IF_ERROR(InRange("train.accumulation", train->accumulation(), 1, 1024));
  if (train->logical_shards() * train->accumulation() > train->batch_size()) {
    if (train->accumulation() > 1) {
      return Invalid(
          "train.accumulation",
          absl::StrCat(train->logical_shards(), " logical shards in ", train->accumulation(),
                       " passes need a train.batch_size of at least ",
                       train->logical_shards() * train->accumulation(), ", got ", train->batch_size()));
    }
  }
  RETURN_IF_ERROR(CompleteOptimizer(train->mutable_optimizer()));
  RETURN_IF_ERROR(CompleteSchedule(train->mutable_schedule()));
  RETURN_IF_ERROR(NotNegative("train.l1", train->l1()));
  RETURN_IF_ERROR(NotNegative("train.l2", train->l2()));
  RETURN_IF_ERROR(Fraction("train.label_smoothing", train->label_smoothing()));
  if (train->weight_rounding() == v1::ROUNDING_STOCHASTIC && train->precision() != v1::PRECISION_BF16 &&
      train->precision() != v1::PRECISION_AUTO) {
    return Invalid("train.weight_rounding",
                   "stochastic is for train.precision bf16 or auto: in fp32 no weight is rounded");
  }
  if (train->has_ema()) RETURN_IF_ERROR(InnerFraction("train.ema", train->ema()));
  if (train->has_gradient_clip()) RETURN_IF_ERROR(CheckClip(train->gradient_clip()));
  if (train->has_early_stopping()) RETURN_IF_ERROR(CompleteEarlyStopping(train->mutable_early_stopping()));
  RETURN_IF_ERROR(CompleteGroups(train));
  if (train->has_max_steps()) RETURN_IF_ERROR(AtLeast("train.max_steps", train->max_steps(), 1));
  if (train->has_report_every_steps()) {
    RETURN_IF_ERROR(AtLeast("train.report_every_steps", train->report_every_steps(), 1));
  }
  if (train->has_evaluate_every_steps()) {
    RETURN_IF_ERROR(AtLeast("train.evaluate_every_steps", train->evaluate_every_steps(), 1));
  }
  return absl::OkStatus();
}

}  // namespace lockstep::spec
