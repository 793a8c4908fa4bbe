#include "common/pretrained/import.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/glob.h"
#include "common/checkpoint/safetensors.h"
#include "common/checkpoint/safetensors_write.h"
#include "common/pretrained/config.h"
#include "common/pretrained/half.h"
#include "common/pretrained/layout.h"
#include "common/pretrained/source.h"
#include "common/pretrained/tensors.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

constexpr size_t kListed = 10;

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

const TensorView* FindFor(const PretrainedTensors& tensors, const PretrainedOptions& options,
                          const std::string& name) {
  const auto given = options.names.find(name);
  if (given != options.names.end()) return tensors.Find(given->second);
  for (const std::string& candidate : {name, "transformer." + name, "model." + name}) {
    if (const TensorView* tensor = tensors.Find(candidate)) return tensor;
  }
  return absl::StartsWith(name, "model.") ? tensors.Find(name.substr(6)) : nullptr;
}

std::vector<int64_t> Transposed(const std::vector<int64_t>& shape) { return {shape.rbegin(), shape.rend()}; }

// Does the file keep Conv1D's weights? The attention's is not square, so that its shape tells.
bool KeepsConv1d(const PretrainedTensors& tensors, const PretrainedOptions& options,
                 const std::vector<PretrainedTarget>& targets) {
  for (const PretrainedTarget& target : targets) {
    if (!IsConv1d(target.name) || target.shape.size() != 2 || target.shape[0] == target.shape[1]) continue;
    if (const TensorView* tensor = FindFor(tensors, options, target.name)) {
      return tensor->shape == Transposed(target.shape);
    }
  }
  return false;
}

// Does the pattern of our parameters match this name, which may be the file's?
bool Matches(const std::string& pattern, const std::string& name) {
  return MatchesGlob(pattern, name) || MatchesGlob("transformer." + pattern, name) ||
         MatchesGlob("model." + pattern, name);
}

bool MatchesAny(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return Matches(pattern, name); });
}

std::string Near(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(name, candidates);
  return nearest.empty() ? name : absl::StrCat(name, " (nearest: ", nearest, ")");
}

// Names of parameters and tensors that the options use and nobody has.
absl::Status CheckOptions(const PretrainedOptions& options, const PretrainedTensors& tensors,
                          const std::vector<std::string>& ours) {
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
  const auto known = [&](const std::string& pattern) {
    const auto matches = [&](const std::string& name) { return Matches(pattern, name); };
    const std::vector<std::string> theirs = tensors.Names();
    return std::any_of(ours.begin(), ours.end(), matches) ||
           std::any_of(theirs.begin(), theirs.end(), matches);
  };
  for (const std::string& pattern : options.fresh) {
    if (known(pattern)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("from.fresh: neither a parameter of the model nor a tensor of the file matches ",
                     Near(pattern, ours)));
  }
  return absl::OkStatus();
}

// What keeps the file from fitting, told at once.
struct Misfits {
  std::vector<std::string> missing, left_over, misshapen, unread;
  std::string hint;
};

void AppendList(const std::string& one, const std::string& several, const std::vector<std::string>& names,
                const std::vector<std::string>& candidates, std::string* out) {
  if (names.empty()) return;
  absl::StrAppend(out, out->empty() ? "" : "; ", names.size(), " ", names.size() == 1 ? one : several, ": ");
  // Only what is shown is compared with all candidates.
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i) {
    absl::StrAppend(out, i == 0 ? "" : ", ", candidates.empty() ? names[i] : Near(names[i], candidates));
  }
  if (names.size() > kListed) absl::StrAppend(out, " and ", names.size() - kListed, " more");
}

absl::Status Refusal(const PretrainedOptions& options, const PretrainedTensors& tensors,
                     const std::vector<std::string>& ours, const Misfits& misfits) {
  std::string problems;
  AppendList("parameter is missing in the file", "parameters are missing in the file", misfits.missing,
             tensors.Names(), &problems);
  AppendList("tensor is left over", "tensors are left over", misfits.left_over, ours, &problems);
  AppendList("shape differs", "shapes differ", misfits.misshapen, {}, &problems);
  AppendList("tensor is not of floating point", "tensors are not of floating point", misfits.unread, {},
             &problems);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "from.safetensors: ", options.path, " does not fit the model: ", problems, ". ", misfits.hint,
      "Make the model's sizes those of the file, name the tensors in from.names, or list what "
      "shall start fresh (a new head) in from.fresh"));
}

// The table of tokens is of another length: the likely causes.
std::string VocabularyHint(const std::string& name, int64_t ours, int64_t theirs) {
  if (ours < theirs) {
    return absl::StrCat(
        "The file's vocabulary has ", theirs, " tokens, the job's ", ours,
        ": if the dataset is cut by the file's own tokenizer (dataset.text.tokenizer.bpe.path), set the "
        "model's vocabulary to ",
        theirs, "; else list ", name, " in from.fresh. ");
  }
  return absl::StrCat("The file's vocabulary has ", theirs, " tokens, the dataset's ", ours,
                      ": the dataset is not cut by the file's tokenizer. Name that in "
                      "dataset.text.tokenizer.bpe.path, or list ",
                      name, " in from.fresh. ");
}

std::string ShapeHint(const PretrainedTarget& target, const std::vector<int64_t>& theirs) {
  const std::vector<int64_t>& ours = target.shape;
  const bool longer = ours.size() == 2 && theirs.size() == 2 && ours[0] != theirs[0] && ours[1] == theirs[1];
  return longer && IsTokenTable(target.name) ? VocabularyHint(target.name, ours[0], theirs[0]) : "";
}

// Is the file's output layer another than the embedding, so that a model that ties them would lose it in
// silence?
bool IsUntied(const TensorView& head, const TensorView* table) {
  if (table == nullptr) return false;  // it starts fresh
  if (table->dtype != head.dtype || table->shape != head.shape) return true;
  const auto bytes = TensorBytes(head.dtype, head.shape);
  return !bytes.ok() || std::memcmp(head.data, table->data, static_cast<size_t>(*bytes)) != 0;
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

struct Pair {
  const TensorView* tensor;
  bool transpose;
  const PretrainedTarget* target;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ImportPretrained(const PretrainedOptions& options,
                                                          const std::vector<PretrainedTarget>& targets) {
  ASSIGN_OR_RETURN(const PretrainedSource source, FindPretrained(options.path));
  ASSIGN_OR_RETURN(const PretrainedTensors tensors, PretrainedTensors::Open(source.files));
  std::vector<std::string> ours, fresh;
  for (const PretrainedTarget& target : targets) ours.push_back(target.name);
  RETURN_IF_ERROR(CheckOptions(options, tensors, ours));
  const bool conv1d = KeepsConv1d(tensors, options, targets);
  Misfits misfits;
  std::set<std::string> used;
  std::vector<Pair> pairs;
  const TensorView* table = nullptr;  // of the embedding, which comes before the output layer
  for (const PretrainedTarget& target : targets) {
    if (MatchesAny(options.fresh, target.name)) {
      fresh.push_back(target.name);
      continue;
    }
    const TensorView* tensor = FindFor(tensors, options, target.name);
    if (tensor == nullptr) {
      misfits.missing.push_back(target.name);
      if (IsOutputLayer(target.name)) {
        misfits.hint += "Where the file's output layer is its embedding, set the model's tie_weights: true. ";
      }
      continue;
    }
    used.insert(tensor->name);
    if (IsTokenTable(target.name) && table == nullptr) table = tensor;
    const bool transpose = conv1d && IsConv1d(target.name);
    if (tensor->shape != (transpose ? Transposed(target.shape) : target.shape)) {
      misfits.misshapen.push_back(absl::StrCat(target.name, " expects ", ShapeText(target.shape), ", ",
                                               tensor->name, " has ", ShapeText(tensor->shape)));
      misfits.hint += ShapeHint(target, tensor->shape);
    } else if (!IsFloat(tensor->dtype)) {
      misfits.unread.push_back(tensor->name);
    } else {
      pairs.push_back({tensor, transpose, &target});
    }
  }
  for (const auto& [name, tensor] : tensors.all()) {
    if (used.count(name) > 0 || MatchesAny(options.fresh, name)) continue;
    if (IsOutputLayer(name) && IsUntied(tensor, table)) {
      misfits.left_over.push_back(name);
      misfits.hint += "The file's output layer is not its embedding: set the model's tie_weights: false. ";
    } else if (!IsKnownBuffer(name)) {
      misfits.left_over.push_back(name);
    }
  }
  RETURN_IF_ERROR(Refusal(options, tensors, ours, misfits));
  for (const Pair& pair : pairs) Copy(*pair.tensor, pair.transpose, *pair.target);
  return fresh;
}

absl::Status CheckPretrained(const v1::CheckpointSource& from, const v1::ModelSpec& model) {
  ASSIGN_OR_RETURN(const PretrainedSource source, FindPretrained(from.safetensors()));
  RETURN_IF_ERROR(PretrainedTensors::Open(source.files).status());
  if (!source.spec.empty()) RETURN_IF_ERROR(CheckPretrainedSpec(source.spec, model));
  if (source.config.empty()) return absl::OkStatus();
  return CheckPretrainedConfig(source.config, model, from.fresh().empty());
}

}  // namespace lockstep
