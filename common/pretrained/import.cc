#include "common/pretrained/import.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/glob.h"
#include "common/checkpoint/safetensors.h"
#include "common/pretrained/half.h"
#include "common/pretrained/layout.h"
#include "common/spec/spec.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr size_t kListed = 10;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

// The files of a folder, or the file itself.
absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  const std::string single = path + "/model.safetensors", index = path + "/model.safetensors.index.json";
  if (fs::exists(single, error)) return std::vector<std::string>{single};
  std::ifstream file(index);
  if (!file) {
    return absl::NotFoundError(absl::StrCat(
        "from.safetensors: ", path, " holds neither model.safetensors nor model.safetensors.index.json"));
  }
  const nlohmann::json parsed = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object()) {
    return absl::InvalidArgumentError(absl::StrCat("from.safetensors: ", index, " has no object weight_map"));
  }
  std::set<std::string> names;
  for (const auto& [tensor, name] : parsed["weight_map"].items()) {
    if (!name.is_string() || name.get<std::string>().find('/') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("from.safetensors: ", index, ": the file of ", tensor,
                                                     " is not a name in this folder"));
    }
    names.insert(path + "/" + name.get<std::string>());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

class Tensors {
 public:
  static absl::StatusOr<Tensors> Open(const std::string& path) {
    Tensors tensors;
    ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesOf(path));
    for (const std::string& file : files) {
      auto opened = SafetensorsFile::Open(file);
      if (!opened.ok()) return Annotate(opened.status(), "from.safetensors");
      tensors.files_.push_back(*std::move(opened));
      for (const TensorView& tensor : tensors.files_.back().tensors()) tensors.by_name_[tensor.name] = tensor;
    }
    return tensors;
  }

  const TensorView* Find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, TensorView>& all() const { return by_name_; }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : by_name_) names.push_back(name);
    return names;
  }

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> by_name_;
};

const TensorView* FindFor(const Tensors& tensors, const PretrainedOptions& options, const std::string& name) {
  const auto given = options.names.find(name);
  if (given != options.names.end()) return tensors.Find(given->second);
  for (const std::string& candidate : {name, "transformer." + name, "model." + name}) {
    if (const TensorView* tensor = tensors.Find(candidate)) return tensor;
  }
  return absl::StartsWith(name, "model.") ? tensors.Find(name.substr(6)) : nullptr;
}

std::vector<int64_t> Transposed(const std::vector<int64_t>& shape) { return {shape.rbegin(), shape.rend()}; }

// Does the file keep Conv1D's weights? The attention's is not square, so that its shape tells.
bool KeepsConv1d(const Tensors& tensors, const PretrainedOptions& options,
                 const std::vector<PretrainedTarget>& targets) {
  for (const PretrainedTarget& target : targets) {
    if (!IsConv1d(target.name) || target.shape.size() != 2 || target.shape[0] == target.shape[1]) continue;
    if (const TensorView* tensor = FindFor(tensors, options, target.name)) {
      return tensor->shape == Transposed(target.shape);
    }
  }
  return false;
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return MatchesGlob(pattern, name) || MatchesGlob("transformer." + pattern, name) ||
           MatchesGlob("model." + pattern, name);
  });
}

std::string Near(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(name, candidates);
  return nearest.empty() ? name : absl::StrCat(name, " (nearest: ", nearest, ")");
}

void AppendList(const std::string& what, const std::vector<std::string>& names, std::string* out) {
  if (names.empty()) return;
  absl::StrAppend(out, out->empty() ? "" : "; ", names.size(), " ", what, ": ",
                  absl::StrJoin(names.begin(),
                                names.begin() + static_cast<int64_t>(std::min(names.size(), kListed)), ", "),
                  names.size() > kListed ? ", ..." : "");
}

void Copy(const TensorView& tensor, bool transpose, const PretrainedTarget& target) {
  int64_t count = 1;
  for (const int64_t extent : target.shape) count *= extent;
  std::vector<float> values(static_cast<size_t>(count));
  ToFloat(tensor.dtype, tensor.data, count, values.data());
  if (!transpose) {
    std::copy(values.begin(), values.end(), target.data);
    return;
  }
  const int64_t rows = target.shape[0], columns = target.shape[1];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j)
      target.data[i * columns + j] = values[static_cast<size_t>(j * rows + i)];
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ImportPretrained(const PretrainedOptions& options,
                                                          const std::vector<PretrainedTarget>& targets) {
  ASSIGN_OR_RETURN(const Tensors tensors, Tensors::Open(options.path));
  std::vector<std::string> ours;
  for (const PretrainedTarget& target : targets) ours.push_back(target.name);
  std::vector<std::string> missing, misshapen, left_over, unread, fresh;
  for (const auto& [name, theirs] : options.names) {
    if (std::find(ours.begin(), ours.end(), name) == ours.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("from.names: the model has no parameter ", Near(name, ours)));
    }
    if (tensors.Find(theirs) == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("from.names: ", options.path, " has no tensor ", Near(theirs, tensors.Names())));
    }
  }
  const bool conv1d = KeepsConv1d(tensors, options, targets);
  std::set<std::string> used;
  struct Pair {
    const TensorView* tensor;
    bool transpose;
    const PretrainedTarget* target;
  };
  std::vector<Pair> pairs;
  for (const PretrainedTarget& target : targets) {
    if (MatchesAny(options.fresh, target.name)) {
      fresh.push_back(target.name);
      continue;
    }
    const TensorView* tensor = FindFor(tensors, options, target.name);
    if (tensor == nullptr) {
      missing.push_back(Near(target.name, tensors.Names()));
      continue;
    }
    used.insert(tensor->name);
    const bool transpose = conv1d && IsConv1d(target.name);
    if (tensor->shape != (transpose ? Transposed(target.shape) : target.shape)) {
      misshapen.push_back(absl::StrCat(target.name, " expects ", ShapeText(target.shape), ", ", tensor->name,
                                       " has ", ShapeText(tensor->shape)));
    } else if (!IsFloat(tensor->dtype)) {
      unread.push_back(tensor->name);
    } else {
      pairs.push_back({tensor, transpose, &target});
    }
  }
  for (const auto& [name, tensor] : tensors.all()) {
    if (used.count(name) == 0 && !IsKnownBuffer(name) && !MatchesAny(options.fresh, name)) {
      left_over.push_back(Near(name, ours));
    }
  }
  std::string problems;
  AppendList("parameters are missing in the file", missing, &problems);
  AppendList("tensors are left over", left_over, &problems);
  AppendList("shapes differ", misshapen, &problems);
  AppendList("tensors are not of floating point", unread, &problems);
  if (!problems.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("from.safetensors: ", options.path, " does not fit the model: ", problems,
                     ". Make the model's sizes those of the file, name the tensors in from.names, or list "
                     "what shall start fresh (a new "
                     "head) in from.fresh"));
  }
  for (const Pair& pair : pairs) Copy(*pair.tensor, pair.transpose, *pair.target);
  return fresh;
}

}  // namespace lockstep
