#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

absl::Status Invalid(absl::string_view field, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", message));
}

absl::Status InRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected an integer from ", low, " to ", high, ", got ", value));
}

absl::Status AtLeast(absl::string_view field, int64_t value, int64_t low) {
  if (value >= low) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected an integer of at least ", low, ", got ", value));
}

absl::Status Positive(absl::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a finite number above 0, got ", value));
}

absl::Status NotNegative(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a finite number of at least 0, got ", value));
}

// 0 <= value < 1
absl::Status Fraction(absl::string_view field, double value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a number from 0 up to but not including 1, got ", value));
}

absl::Status CompleteDataset(v1::DatasetSpec* dataset) {
  if (dataset->path().empty() == dataset->name().empty()) {
    return Invalid("dataset",
                   dataset->path().empty()
                       ? "expected 'path' (a file) or 'name' (a registered dataset), got neither"
                       : "expected either 'path' (a file) or 'name' (a registered dataset), got both");
  }
  if (dataset->scaling() == v1::SCALING_UNSPECIFIED) dataset->set_scaling(v1::SCALING_STANDARD);
  auto* split = dataset->mutable_split();
  if (!split->has_train()) split->set_train(0.8);
  if (!split->has_validation()) split->set_validation(0.1);
  if (!split->has_test()) split->set_test(0.1);
  struct NamedFraction {
    const char* field;
    double value;
  };
  for (const auto& part : {NamedFraction{"dataset.split.train", split->train()},
                           NamedFraction{"dataset.split.validation", split->validation()},
                           NamedFraction{"dataset.split.test", split->test()}}) {
    if (!(part.value > 0 && part.value < 1)) {
      return Invalid(part.field, absl::StrCat("expected a fraction between 0 and 1, both excluded, got ",
                                              part.value, "; each part needs rows"));
    }
  }
  const double sum = split->train() + split->validation() + split->test();
  if (!(std::abs(sum - 1) <= 1e-6)) {
    return Invalid(
        "dataset.split",
        absl::StrFormat("train %g + validation %g + test %g = %g; expected a sum of 1 (a part that "
                        "is not given is 0.8, 0.1 or 0.1)",
                        split->train(), split->validation(), split->test(), sum));
  }
  return absl::OkStatus();
}

absl::Status CompleteMlp(v1::MlpSpec* mlp) {
  if (mlp->hidden().empty()) {
    return Invalid(
        "model.mlp.hidden",
        "expected at least one width, for example [128, 64]; without a hidden layer use model: softmax "
        "or linear");
  }
  for (int i = 0; i < mlp->hidden_size(); ++i) {
    RETURN_IF_ERROR(InRange(absl::StrCat("model.mlp.hidden[", i, "]"), mlp->hidden(i), 1, 65536));
  }
  if (mlp->activation() == v1::ACTIVATION_UNSPECIFIED) mlp->set_activation(v1::ACTIVATION_RELU);
  if (!mlp->has_dropout()) mlp->set_dropout(0);
  return Fraction("model.mlp.dropout", mlp->dropout());
}

// The task that model, loss and dataset.task ask for must be one and the same.
absl::Status CheckTask(const v1::JobSpec& spec) {
  v1::Task task = v1::TASK_UNSPECIFIED;
  std::string because;
  auto demand = [&](v1::Task wanted, std::string reason) -> absl::Status {
    if (wanted == v1::TASK_UNSPECIFIED) return absl::OkStatus();
    if (task != v1::TASK_UNSPECIFIED && task != wanted) {
      return Invalid(
          reason,
          absl::StrCat("is for ", wanted == v1::TASK_REGRESSION ? "regression" : "classification", ", but ",
                       because, " is for ", task == v1::TASK_REGRESSION ? "regression" : "classification"));
    }
    task = wanted;
    because = std::move(reason);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(demand(spec.dataset().task(), "dataset.task"));
  if (spec.model().has_linear()) RETURN_IF_ERROR(demand(v1::TASK_REGRESSION, "model.linear"));
  if (spec.model().has_softmax()) RETURN_IF_ERROR(demand(v1::TASK_CLASSIFICATION, "model.softmax"));
  if (spec.train().loss() == v1::LOSS_CROSS_ENTROPY) {
    RETURN_IF_ERROR(demand(v1::TASK_CLASSIFICATION, "train.loss cross_entropy"));
  }
  if (spec.train().loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
    RETURN_IF_ERROR(demand(v1::TASK_REGRESSION, "train.loss mean_squared_error"));
  }
  if (!spec.train().has_early_stopping()) return absl::OkStatus();
  const std::string& metric = spec.train().early_stopping().metric();
  if (metric == "validation/accuracy" || metric == "validation/f1") {
    return demand(v1::TASK_CLASSIFICATION, absl::StrCat("train.early_stopping.metric ", metric));
  }
  if (metric == "validation/rmse" || metric == "validation/mae" || metric == "validation/r2") {
    return demand(v1::TASK_REGRESSION, absl::StrCat("train.early_stopping.metric ", metric));
  }
  return absl::OkStatus();
}

template <typename Adam>
absl::Status CompleteAdam(const std::string& field, double default_decay, Adam* adam) {
  if (!adam->has_learning_rate()) adam->set_learning_rate(1e-3);
  if (!adam->has_beta1()) adam->set_beta1(0.9);
  if (!adam->has_beta2()) adam->set_beta2(0.999);
  if (!adam->has_epsilon()) adam->set_epsilon(1e-8);
  if (!adam->has_weight_decay()) adam->set_weight_decay(default_decay);
  RETURN_IF_ERROR(Positive(field + ".learning_rate", adam->learning_rate()));
  RETURN_IF_ERROR(Fraction(field + ".beta1", adam->beta1()));
  RETURN_IF_ERROR(Fraction(field + ".beta2", adam->beta2()));
  RETURN_IF_ERROR(Positive(field + ".epsilon", adam->epsilon()));
  return NotNegative(field + ".weight_decay", adam->weight_decay());
}

absl::Status CompleteSgd(v1::SgdSpec* sgd) {
  if (!sgd->has_learning_rate()) sgd->set_learning_rate(0.01);
  if (!sgd->has_momentum()) sgd->set_momentum(0);
  if (!sgd->has_nesterov()) sgd->set_nesterov(false);
  if (!sgd->has_weight_decay()) sgd->set_weight_decay(0);
  RETURN_IF_ERROR(Positive("train.optimizer.sgd.learning_rate", sgd->learning_rate()));
  RETURN_IF_ERROR(Fraction("train.optimizer.sgd.momentum", sgd->momentum()));
  if (sgd->nesterov() && sgd->momentum() == 0) {
    return Invalid("train.optimizer.sgd.nesterov", "needs a momentum above 0, for example momentum: 0.9");
  }
  return NotNegative("train.optimizer.sgd.weight_decay", sgd->weight_decay());
}

absl::Status CompleteOptimizer(v1::OptimizerSpec* optimizer) {
  switch (optimizer->kind_case()) {
    case v1::OptimizerSpec::kSgd:
      return CompleteSgd(optimizer->mutable_sgd());
    case v1::OptimizerSpec::kAdam:
      return CompleteAdam("train.optimizer.adam", 0, optimizer->mutable_adam());
    case v1::OptimizerSpec::kAdamw:
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return CompleteAdam("train.optimizer.adamw", 0.01, optimizer->mutable_adamw());
}

absl::Status CompleteSchedule(v1::ScheduleSpec* schedule) {
  if (!schedule->has_warmup_steps()) schedule->set_warmup_steps(0);
  RETURN_IF_ERROR(AtLeast("train.schedule.warmup_steps", schedule->warmup_steps(), 0));
  if (schedule->has_step()) {
    auto* step = schedule->mutable_step();
    if (!step->has_every_epochs()) step->set_every_epochs(10);
    if (!step->has_factor()) step->set_factor(0.1);
    RETURN_IF_ERROR(AtLeast("train.schedule.step.every_epochs", step->every_epochs(), 1));
    return Positive("train.schedule.step.factor", step->factor());
  }
  if (schedule->has_cosine()) {
    auto* cosine = schedule->mutable_cosine();
    if (!cosine->has_final_factor()) cosine->set_final_factor(0);
    if (!(cosine->final_factor() >= 0 && cosine->final_factor() <= 1)) {
      return Invalid("train.schedule.cosine.final_factor",
                     absl::StrCat("expected a number from 0 to 1, got ", cosine->final_factor()));
    }
    return absl::OkStatus();
  }
  schedule->mutable_constant();
  return absl::OkStatus();
}

absl::Status CompleteEarlyStopping(v1::EarlyStoppingSpec* stopping) {
  if (!stopping->has_patience()) stopping->set_patience(5);
  if (stopping->metric().empty()) stopping->set_metric("validation/loss");
  if (!stopping->has_min_delta()) stopping->set_min_delta(0);
  RETURN_IF_ERROR(AtLeast("train.early_stopping.patience", stopping->patience(), 1));
  RETURN_IF_ERROR(NotNegative("train.early_stopping.min_delta", stopping->min_delta()));
  const std::vector<std::string> metrics = {"validation/loss", "validation/accuracy", "validation/f1",
                                            "validation/rmse", "validation/mae",      "validation/r2"};
  if (std::find(metrics.begin(), metrics.end(), stopping->metric()) != metrics.end()) return absl::OkStatus();
  std::string nearest = Nearest(stopping->metric(), metrics);
  if (nearest.empty()) {  // "accuracy" and "val/accuracy" are meant as well
    const size_t slash = stopping->metric().rfind('/');
    nearest = Nearest("validation/" + stopping->metric().substr(slash == std::string::npos ? 0 : slash + 1),
                      metrics);
  }
  return Invalid("train.early_stopping.metric",
                 absl::StrCat("expected one of ", absl::StrJoin(metrics, ", "), ", got '", stopping->metric(),
                              "'", nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
}

absl::Status CompleteTrain(v1::TrainSpec* train) {
  if (!train->has_epochs()) train->set_epochs(10);
  if (!train->has_batch_size()) train->set_batch_size(64);
  if (!train->has_logical_shards()) train->set_logical_shards(8);
  if (!train->has_l1()) train->set_l1(0);
  if (!train->has_l2()) train->set_l2(0);
  RETURN_IF_ERROR(InRange("train.epochs", train->epochs(), 1, 1000000));
  RETURN_IF_ERROR(InRange("train.batch_size", train->batch_size(), 1, 1000000));
  RETURN_IF_ERROR(InRange("train.logical_shards", train->logical_shards(), 1, 1024));
  RETURN_IF_ERROR(CompleteOptimizer(train->mutable_optimizer()));
  RETURN_IF_ERROR(CompleteSchedule(train->mutable_schedule()));
  RETURN_IF_ERROR(NotNegative("train.l1", train->l1()));
  RETURN_IF_ERROR(NotNegative("train.l2", train->l2()));
  if (train->has_gradient_clip()) {
    const auto& clip = train->gradient_clip();
    if (!clip.has_norm() && !clip.has_value()) {
      return Invalid("train.gradient_clip", "expected 'norm' or 'value', got neither");
    }
    if (clip.has_norm()) RETURN_IF_ERROR(Positive("train.gradient_clip.norm", clip.norm()));
    if (clip.has_value()) RETURN_IF_ERROR(Positive("train.gradient_clip.value", clip.value()));
  }
  if (train->has_early_stopping()) RETURN_IF_ERROR(CompleteEarlyStopping(train->mutable_early_stopping()));
  if (train->has_max_steps()) RETURN_IF_ERROR(AtLeast("train.max_steps", train->max_steps(), 1));
  if (train->has_report_every_steps()) {
    RETURN_IF_ERROR(AtLeast("train.report_every_steps", train->report_every_steps(), 1));
  }
  return absl::OkStatus();
}

absl::Status CompleteWorkers(int logical_shards, v1::WorkersSpec* workers) {
  if (!workers->has_min()) workers->set_min(1);
  RETURN_IF_ERROR(AtLeast("workers.min", workers->min(), 1));
  if (!workers->has_max()) workers->set_max(workers->min());
  if (workers->max() < workers->min()) {
    return Invalid("workers.max", absl::StrCat("expected at least workers.min (", workers->min(), "), got ",
                                               workers->max()));
  }
  if (workers->max() > logical_shards) {
    return Invalid(
        "workers.max",
        absl::StrCat("expected at most train.logical_shards (", logical_shards, "), got ", workers->max(),
                     "; a logical shard is the unit of work, so a further worker would "
                     "have nothing to do. Raise train.logical_shards (this changes the weights' bits)"));
  }
  return absl::OkStatus();
}

absl::Status CompleteCheckpoint(v1::CheckpointSpec* checkpoint) {
  if (!checkpoint->has_keep_last()) checkpoint->set_keep_last(3);
  RETURN_IF_ERROR(AtLeast("checkpoint.keep_last", checkpoint->keep_last(), 1));
  if (checkpoint->has_every_steps()) {
    RETURN_IF_ERROR(AtLeast("checkpoint.every_steps", checkpoint->every_steps(), 1));
  }
  if (checkpoint->has_every()) {
    RETURN_IF_ERROR(Positive("checkpoint.every", static_cast<double>(checkpoint->every().seconds()) +
                                                     1e-9 * checkpoint->every().nanos()));
  }
  return absl::OkStatus();
}

absl::Status CheckFrom(const v1::CheckpointSource& from) {
  if (from.job().empty() == from.path().empty()) {
    return Invalid("from", from.job().empty() ? "expected 'job' or 'path', got neither"
                                              : "expected either 'job' or 'path', got both");
  }
  if (from.has_step() && from.best()) return Invalid("from", "expected either 'step' or 'best', got both");
  if (!from.path().empty() && (from.has_step() || from.best())) {
    return Invalid("from",
                   "'step' and 'best' choose among the checkpoints of a 'job'; 'path' already names one");
  }
  if (from.has_step()) return AtLeast("from.step", from.step(), 0);
  return absl::OkStatus();
}

absl::Status CompleteName(v1::JobSpec* spec) {
  if (spec->name().empty()) {
    spec->set_name(spec->model().has_linear() ? "linear" : spec->model().has_softmax() ? "softmax" : "mlp");
  }
  const std::string& name = spec->name();
  const bool allowed = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
  });
  if (allowed && name.size() <= 63 && name.front() != '-' && name.back() != '-') return absl::OkStatus();
  return Invalid("name", absl::StrCat("expected 1 to 63 lower-case letters, digits and inner hyphens, got '",
                                      spec->name().substr(0, 80), "'"));
}

}  // namespace

absl::Status CompleteSpec(v1::JobSpec* spec) {
  if (!spec->has_dataset()) {
    return Invalid("dataset", "missing; expected for example dataset: { path: digits.csv, label: digit }");
  }
  RETURN_IF_ERROR(CompleteDataset(spec->mutable_dataset()));
  if (spec->model().kind_case() == v1::ModelSpec::KIND_NOT_SET) {
    return Invalid(
        "model",
        "missing; expected one of linear, softmax, mlp, for example model: { mlp: { hidden: [128] } }");
  }
  if (spec->model().has_mlp()) RETURN_IF_ERROR(CompleteMlp(spec->mutable_model()->mutable_mlp()));
  RETURN_IF_ERROR(CompleteName(spec));
  RETURN_IF_ERROR(CompleteTrain(spec->mutable_train()));
  RETURN_IF_ERROR(CheckTask(*spec));
  RETURN_IF_ERROR(CompleteWorkers(spec->train().logical_shards(), spec->mutable_workers()));
  if (!spec->has_seed()) spec->set_seed(1);
  RETURN_IF_ERROR(CompleteCheckpoint(spec->mutable_checkpoint()));
  if (!spec->has_priority()) spec->set_priority(0);
  RETURN_IF_ERROR(InRange("priority", spec->priority(), -1000, 1000));
  if (!spec->has_reproducible()) spec->set_reproducible(true);
  if (spec->has_from()) return CheckFrom(spec->from());
  return absl::OkStatus();
}

}  // namespace lockstep
