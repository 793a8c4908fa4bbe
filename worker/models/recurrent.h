// Stacked LSTM or GRU. On tokens a language model: embedding, layers, an affine layer to the vocabulary at
// each step. On numbers: a row of features is cut into steps, and an affine layer reads the last state.
// Parameters are named as PyTorch names them: embedding.weight, lstm.weight_ih_l0, ..., output.weight.
#pragma once

#include <memory>

#include "worker/engine/engine.h"
#include "worker/engine/recurrent.h"

namespace lockstep::engine {

// For windows of `steps` tokens. INVALID_ARGUMENT: the window is longer than the context.
absl::StatusOr<std::shared_ptr<const Model>> BuildRecurrentLanguageModel(RecurrentKind kind,
                                                                         const v1::RecurrentSpec& spec,
                                                                         int steps, int vocabulary);

// INVALID_ARGUMENT: the features cannot be cut into sequence_length equal steps.
absl::StatusOr<std::shared_ptr<const Model>> BuildRecurrent(RecurrentKind kind, const v1::RecurrentSpec& spec,
                                                            int features, int outputs, v1::Loss loss);

}  // namespace lockstep::engine
