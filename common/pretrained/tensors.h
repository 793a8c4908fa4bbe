// The tensors of one or several safetensors files under one roof. Immutable; copies share the mapped files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/checkpoint/safetensors.h"

namespace lockstep {

class PretrainedTensors {
 public:
  // INVALID_ARGUMENT: two files hold a tensor of one name. Otherwise SafetensorsFile::Open's errors.
  static absl::StatusOr<PretrainedTensors> Open(const std::vector<std::string>& files);

  const TensorView* Find(const std::string& name) const;  // nullptr: not there
  const std::map<std::string, TensorView>& all() const { return by_name_; }
  std::vector<std::string> Names() const;

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> by_name_;
};

}  // namespace lockstep
