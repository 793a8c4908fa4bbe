// A Hugging Face config.json against a model's spec. Shapes do not tell everything: with another number of
// heads, rotary base or epsilon the tensors fit, and the model computes something else.
#pragma once

#include <string>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// INVALID_ARGUMENT lists every field of `model` (complete) that differs from the file at `path`, with both
// values, and what the file asks for that no field offers. Models that Hugging Face has no name for pass.
// `whole`: false leaves out what a model with a part of its own may change: sizes, and a head that is tied.
absl::Status CheckPretrainedConfig(const std::string& path, const v1::ModelSpec& model, bool whole);

// The same for the spec.yaml in a model's folder of ours; sizes are left to the tensors.
absl::Status CheckPretrainedSpec(const std::string& path, const v1::ModelSpec& model);

}  // namespace lockstep
