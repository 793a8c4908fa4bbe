// What `from.safetensors` names: a safetensors file, or a Hugging Face folder with model.safetensors or the
// shards that model.safetensors.index.json lists. Links (Hugging Face's cache is made of them) are followed.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

struct PretrainedSource {
  std::vector<std::string> files;
  std::string config;  // path of the config.json beside them, "" if there is none
  std::string spec;    // of the spec.yaml that a model's folder of ours has, "" if there is none
};

// NOT_FOUND: nothing is there, or a shard is not; names what is near. INVALID_ARGUMENT: a file of another
// format (a PyTorch pickle, GGUF, a Git LFS pointer); says how to convert it. Messages begin
// "from.safetensors: ".
absl::StatusOr<PretrainedSource> FindPretrained(const std::string& path);

}  // namespace lockstep
