// Layers of images from their specs: what a cnn's list and a graph have in common.
#pragma once

#include <string>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/graph.h"
#include "worker/models/layer_place.h"

namespace lockstep::engine {

// Appends the layer at `place`: conv, max_pool, average_pool, global_average_pool, batch_norm, activation,
// dropout, flatten or linear (which flattens an image first). Returns the output value. INVALID_ARGUMENT,
// naming the layer: it does not fit its input.
absl::StatusOr<int> AppendImageLayer(GraphBuilder& builder, const LayerPlace& place);

// The input of a model of images; `field` is model.cnn.input_shape or the like. INVALID_ARGUMENT: not an
// image of `features` values.
template <typename Shape>
absl::StatusOr<std::vector<int64_t>> ImageShape(const std::string& field, const Shape& shape, int features) {
  if (shape.size() == 3 && shape.Get(0) > 0 && shape.Get(1) > 0 && shape.Get(2) > 0 &&
      shape.Get(0) * shape.Get(1) * shape.Get(2) == features) {
    return std::vector<int64_t>(shape.begin(), shape.end());
  }
  std::string got;
  for (const int64_t extent : shape) absl::StrAppend(&got, got.empty() ? "" : ", ", extent);
  return absl::InvalidArgumentError(absl::StrCat(field, ": expected [height, width, channels] of ", features,
                                                 " values, as the dataset's rows have, got [", got, "]"));
}

}  // namespace lockstep::engine
