// What a language model's spec says of text, beside its defaults. Pure.
#pragma once

#include <cstdint>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Whether a graph's input is text: it has an embedding.
bool ReadsTokens(const v1::GraphSpec& graph);

// The tokens that `model` sees at once (gpt.context, the rows of a graph's positions, ...), with its default;
// 0: the model does not say.
int32_t ContextOf(const v1::ModelSpec& model);

// The vocabulary that `model` fixes (gpt.vocabulary, ...); 0: it takes the dataset's.
int32_t FixedVocabulary(const v1::ModelSpec& model);

// Fills dataset.text of a language model and checks it: sequence_length is by default the model's context and
// not above it. INVALID_ARGUMENT names the field. Idempotent.
absl::Status CompleteText(v1::JobSpec* spec);

}  // namespace lockstep
