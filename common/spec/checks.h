// What CompleteSpec's parts share: checks of one value, whose errors name the field, what was expected and
// what came.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep::spec {

absl::Status Invalid(absl::string_view field, absl::string_view message);
absl::Status InRange(absl::string_view field, int64_t value, int64_t low, int64_t high);
absl::Status AtLeast(absl::string_view field, int64_t value, int64_t low);
absl::Status Positive(absl::string_view field, double value);
absl::Status NotNegative(absl::string_view field, double value);
absl::Status Fraction(absl::string_view field, double value);       // 0 <= value < 1
absl::Status ZeroToOne(absl::string_view field, double value);      // 0 <= value <= 1
absl::Status InnerFraction(absl::string_view field, double value);  // 0 < value < 1

// Fills defaults and checks ranges of one part each; complete.cc puts them together.
absl::Status CompleteModel(v1::ModelSpec* model);
absl::Status CompleteCnn(v1::CnnSpec* cnn);
absl::Status CompleteResNet(v1::ResNetSpec* resnet);
absl::Status CompleteGraph(v1::GraphSpec* graph);
absl::Status CompleteOptimizer(v1::OptimizerSpec* optimizer);
absl::Status CompleteSchedule(v1::ScheduleSpec* schedule);
absl::Status CompleteTrain(v1::TrainSpec* train);
// A watched metric ("validation/loss"); `field` is train.early_stopping.metric or the like.
absl::Status CheckMetricName(absl::string_view field, const std::string& metric);

// The task that model, loss, metrics and dataset.task ask for must be one and the same. Fills what follows
// from the model alone: a support vector machine's loss, an autoencoder's task.
absl::Status CompleteTask(v1::JobSpec* spec);

}  // namespace lockstep::spec
