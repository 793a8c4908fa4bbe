// GPT-2's family (Radford et al. 2019): pre-norm transformer, learned positions, tanh GELU, the output layer
// tied to the token embedding unless the spec says otherwise. Parameters have Hugging Face's names
// (wte.weight, h.0.attn.c_attn.weight, ...); linear weights are (outputs, inputs), the transpose of its
// Conv1D. Fresh weights: normal with deviation 0.02, the projections onto the residual stream divided by
// sqrt(2 layers).
#pragma once

#include <memory>

#include "worker/engine/engine.h"

namespace lockstep::engine {

// For windows of `steps` tokens. INVALID_ARGUMENT: the window is longer than the context, the heads do not
// divide the width.
absl::StatusOr<std::shared_ptr<const Model>> BuildGpt(const v1::GptSpec& spec, int steps, int vocabulary);

}  // namespace lockstep::engine
