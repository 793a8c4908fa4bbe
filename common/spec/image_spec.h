// Specs of models that read images.
#pragma once

#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Fills input_shape of a cnn, resnet or graph that does not give it from the images of an IDX dataset, and
// what follows from it. Other models are left alone, and a graph of rows that are no images.
// INVALID_ARGUMENT: the dataset does not tell.
absl::Status CompleteInputShape(const v1::Dataset& dataset, v1::ModelSpec* model);

}  // namespace lockstep
