// Llama's family (Touvron et al. 2023): pre-norm transformer with RMS norm, rotary positions, grouped-query
// attention and SwiGLU, without biases. Parameters have Hugging Face's names
// (model.layers.0.self_attn.q_proj.weight, ...). Fresh weights: normal with deviation 0.02.
#pragma once

#include <memory>

#include "worker/engine/engine.h"

namespace lockstep::engine {

// For windows of `steps` tokens. INVALID_ARGUMENT: as BuildGpt; and a head is an even number of columns wide,
// the key-value heads divide the heads.
absl::StatusOr<std::shared_ptr<const Model>> BuildLlama(const v1::LlamaSpec& spec, int steps, int vocabulary);

}  // namespace lockstep::engine
