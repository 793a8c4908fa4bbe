// Convolutional networks: a list of layers, each fed by the one before, and an affine layer to the outputs.
#pragma once

#include <memory>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

// `cnn` is complete, input_shape included. A parameter is named after its layer, "conv.0.weight"; the last
// layer is "output". INVALID_ARGUMENT: input_shape is not that of `features` values, a layer does not fit
// (named).
absl::StatusOr<std::shared_ptr<const Model>> BuildCnn(const v1::CnnSpec& cnn, int features, int outputs,
                                                      v1::Loss loss);

}  // namespace lockstep::engine
