// A gpt or llama model folder of ours as a Hugging Face folder: model.safetensors with its names and layout
// (Conv1D weights transposed, biases of zero where ours has none), config.json, and vocab.json and merges.txt
// where its tokens are byte pairs, so that `transformers` loads it with from_pretrained.
#pragma once

#include <string>

#include "common/base/status.h"

namespace lockstep {

// INVALID_ARGUMENT: the model is of another kind. ALREADY_EXISTS: `output` holds a model already. NOT_FOUND,
// DATA_LOSS: `model`.
absl::Status ExportHuggingFace(const std::string& model, const std::string& output);

}  // namespace lockstep
