// Does the model fit the data? The checks of a spec that need its dataset, made at submit so that nobody
// waits for a device to learn of a contradiction. Pure.
#pragma once

#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Fills dataset.task, train.loss and a language model's dataset.text from `dataset` and checks model, loss
// and the early-stopping metric against the task. REQUIRES: CompleteSpec has passed. INVALID_ARGUMENT names
// the field, and what would fit.
absl::Status FitSpecToDataset(const v1::Dataset& dataset, v1::JobSpec* spec);

}  // namespace lockstep
