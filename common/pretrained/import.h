// Weights from a file that another program wrote: a safetensors file, or a Hugging Face folder with
// model.safetensors (or the shards that model.safetensors.index.json lists).
//
// A parameter `p` of ours takes the first of these tensors that is there: names[p], p, "transformer." p,
// "model." p, and p without its leading "model.". float32, bfloat16, float16 and float64 are read. GPT-2's
// files keep the weights of attention and feed-forward as Conv1D does, (inputs, outputs): they are
// transposed, which the shapes of c_attn give away.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct PretrainedTarget {
  std::string name;
  std::vector<int64_t> shape;
  float* data = nullptr;  // shape's product elements
};

struct PretrainedOptions {
  std::string path;
  std::map<std::string, std::string> names;  // ours to the file's
  std::vector<std::string> fresh;            // patterns of ours that keep the weights they have
};

// Fills the targets; returns the names of those that were left fresh. NOT_FOUND: no such file.
// INVALID_ARGUMENT: tensors are missing, left over or of another shape: all are listed, with the nearest
// names; or a name or pattern of the options stands for nothing. A tensor of the file is not left over where
// it matches a fresh pattern (an old head), or is a buffer that the layouts are known to carry (attn.bias,
// rotary_emb.inv_freq, num_batches_tracked, an lm_head.weight that equals the embedding).
absl::StatusOr<std::vector<std::string>> ImportPretrained(const PretrainedOptions& options,
                                                          const std::vector<PretrainedTarget>& targets);

// What can be refused before a model is built: a path that is not there, another format, a header that lies,
// a Hugging Face config.json that does not describe `model` (complete). REQUIRES: from.safetensors is given.
absl::Status CheckPretrained(const v1::CheckpointSource& from, const v1::ModelSpec& model);

}  // namespace lockstep
