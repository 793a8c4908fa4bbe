#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "common/spec/checks.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace spec {
namespace {

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

absl::Status CompleteWorkers(int logical_shards, v1::WorkersSpec* workers) {
  if (!workers->has_min()) workers->set_min(1);
  RETURN_IF_ERROR(AtLeast("workers.min", workers->min(), 1));
  if (!workers->has_max()) workers->set_max(workers->min());
  if (workers->max() < workers->min()) {
    return Invalid("workers.max", absl::StrCat("expected at least workers.min (", workers->min(), "), got ",
                                               workers->max()));
  }
  if (!workers->has_silence()) workers->mutable_silence()->set_seconds(5);
  if (workers->silence().seconds() < 1) {
    return Invalid("workers.silence",
                   "expected at least 1s: a busy machine may keep a trainer waiting for less");
  }
  if (workers->has_step_limit()) {
    RETURN_IF_ERROR(Positive("workers.step_limit", static_cast<double>(workers->step_limit().seconds()) +
                                                       1e-9 * workers->step_limit().nanos()));
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
  const int sources = !from.job().empty() + !from.path().empty() + !from.safetensors().empty();
  if (sources != 1) {
    return Invalid("from", absl::StrCat("expected one of 'job', 'path' and 'safetensors', got ",
                                        sources == 0 ? "none" : absl::StrCat(sources)));
  }
  if (from.safetensors().empty() && (!from.names().empty() || !from.fresh().empty())) {
    return Invalid(
        "from",
        "'names' and 'fresh' say how a 'safetensors' file is read; a 'job' or a 'path' is read as it is");
  }
  if (from.has_step() && from.best()) return Invalid("from", "expected either 'step' or 'best', got both");
  if (!from.safetensors().empty() && (from.has_step() || from.best())) {
    return Invalid("from",
                   "'step' and 'best' choose among the checkpoints of a 'job'; 'safetensors' names a file");
  }
  if (!from.path().empty() && (from.has_step() || from.best())) {
    return Invalid("from",
                   "'step' and 'best' choose among the checkpoints of a 'job'; 'path' already names one");
  }
  if (from.has_step()) return AtLeast("from.step", from.step(), 0);
  return absl::OkStatus();
}

absl::Status CompleteName(v1::JobSpec* spec) {
  if (spec->name().empty()) {
    const auto* kind = v1::ModelSpec::descriptor()->FindFieldByNumber(spec->model().kind_case());
    spec->set_name(kind->name());
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

absl::Status Complete(v1::JobSpec* spec) {
  if (!spec->has_dataset()) {
    return Invalid("dataset", "missing; expected for example dataset: { path: digits.csv, label: digit }");
  }
  RETURN_IF_ERROR(CompleteDataset(spec->mutable_dataset()));
  RETURN_IF_ERROR(CompleteModel(spec->mutable_model()));
  RETURN_IF_ERROR(CompleteName(spec));
  RETURN_IF_ERROR(CompleteTrain(spec->mutable_train()));
  RETURN_IF_ERROR(CompleteTask(spec));
  RETURN_IF_ERROR(CompleteWorkers(spec->train().logical_shards(), spec->mutable_workers()));
  if (!spec->has_seed()) spec->set_seed(1);
  RETURN_IF_ERROR(CompleteCheckpoint(spec->mutable_checkpoint()));
  if (!spec->has_priority()) spec->set_priority(0);
  RETURN_IF_ERROR(InRange("priority", spec->priority(), -1000, 1000));
  if (!spec->has_reproducible()) spec->set_reproducible(true);
  if (spec->has_from()) return CheckFrom(spec->from());
  return absl::OkStatus();
}

}  // namespace
}  // namespace spec

absl::Status CompleteSpec(v1::JobSpec* spec) { return spec::Complete(spec); }

}  // namespace lockstep
