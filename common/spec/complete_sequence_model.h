// Defaults and ranges of the sequence models: gpt, llama, lstm, gru.
#pragma once

#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep::spec {

absl::Status CompleteGpt(v1::GptSpec* gpt);
absl::Status CompleteLlama(v1::LlamaSpec* llama);
// `field` is "model.lstm" or "model.gru".
absl::Status CompleteRecurrent(absl::string_view field, v1::RecurrentSpec* recurrent);

}  // namespace lockstep::spec

namespace lockstep {

// Fills lstm.sequence_length and gru.sequence_length for a dataset of numbers: an image is read row by row.
// INVALID_ARGUMENT where neither the spec nor the dataset says how many steps a row has. No other model is
// touched.
absl::Status CompleteSequenceLength(const v1::Dataset& dataset, v1::ModelSpec* model);

}  // namespace lockstep
