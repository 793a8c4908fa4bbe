// What Hugging Face's GPT-2 and Llama files have that ours do not.
#pragma once

#include <string>

namespace lockstep {

// Is this parameter a Conv1D's weight in GPT-2's files, kept as (inputs, outputs)?
bool IsConv1d(const std::string& name);

// A buffer that is no weight, or a second name of one: attention masks, tied output layers, rotary
// frequencies.
bool IsKnownBuffer(const std::string& name);

// A row for each token of the vocabulary: the embedding, or the output layer.
bool IsTokenTable(const std::string& name);
bool IsOutputLayer(const std::string& name);

}  // namespace lockstep
