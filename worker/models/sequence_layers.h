// Layers of sequences from their specs: a graph's, by the engine's own operations.
#pragma once

#include "common/base/status.h"
#include "worker/engine/graph.h"
#include "worker/models/layer_place.h"

namespace lockstep::engine {

// Appends the layer at `place`: layer_norm, rms_norm, attention, rope, swiglu, lstm, gru or last. Returns the
// output value. INVALID_ARGUMENT, naming the layer: it does not fit its inputs.
//
// An attention of name N with projections has the parameters N.qkv (query, key and value, one below the
// other) and N.output; a recurrent layer PyTorch's of one layer, N.weight_ih_l0, ...
absl::StatusOr<int> AppendSequenceLayer(GraphBuilder& builder, const LayerPlace& place);

}  // namespace lockstep::engine
