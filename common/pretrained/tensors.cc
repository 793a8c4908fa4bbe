#include "common/pretrained/tensors.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace lockstep {

absl::StatusOr<PretrainedTensors> PretrainedTensors::Open(const std::vector<std::string>& files) {
  PretrainedTensors tensors;
  for (const std::string& file : files) {
    auto opened = SafetensorsFile::Open(file);
    if (!opened.ok()) return Annotate(opened.status(), "from.safetensors");
    tensors.files_.push_back(*std::move(opened));
    for (const TensorView& tensor : tensors.files_.back().tensors()) {
      if (tensors.by_name_.emplace(tensor.name, tensor).second) continue;
      return absl::InvalidArgumentError(absl::StrCat("from.safetensors: ", file, " repeats the tensor ",
                                                     tensor.name,
                                                     ", which another file of its folder holds"));
    }
  }
  return tensors;
}

const TensorView* PretrainedTensors::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

std::vector<std::string> PretrainedTensors::Names() const {
  std::vector<std::string> names;
  names.reserve(by_name_.size());
  for (const auto& [name, tensor] : by_name_) names.push_back(name);
  return names;
}

}  // namespace lockstep
