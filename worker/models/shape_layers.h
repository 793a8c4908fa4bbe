// Layers that join values or change their shapes, from their specs.
#pragma once

#include "common/base/status.h"
#include "worker/engine/graph.h"
#include "worker/models/layer_place.h"

namespace lockstep::engine {

// Appends the layer at `place`: add, concat, reshape or transpose. Returns the output value.
// INVALID_ARGUMENT, naming the layer: it does not fit its inputs.
absl::StatusOr<int> AppendShapeLayer(GraphBuilder& builder, const LayerPlace& place);

// The axis of a concat from 0; REQUIRES: the inputs have `rank` axes, and the axis is one of them.
inline int AxisOf(const v1::ConcatLayer& concat, int rank) {
  return concat.axis() < 0 ? concat.axis() + rank : concat.axis();
}

}  // namespace lockstep::engine
