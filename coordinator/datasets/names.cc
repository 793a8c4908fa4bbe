#include "coordinator/datasets/names.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "coordinator/namespaces/names.h"

namespace lockstep {
namespace {

constexpr size_t kLongestName = 63;

bool IsNameByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

}  // namespace

absl::Status CheckDatasetName(std::string_view name) {
  if (!name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), IsNameByte) &&
      absl::ascii_isalnum(static_cast<unsigned char>(name[0]))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("dataset name '", std::string(name), "': expected 1 to ", kLongestName,
                   " letters, digits, dots, underscores or hyphens, the first a letter or digit"));
}

absl::StatusOr<DatasetReference> ParseReference(std::string_view text, const std::string& meant) {
  DatasetReference reference;
  const size_t at = text.find('@');
  const QualifiedName parts = SplitName(std::string(text.substr(0, at)), meant);
  if (parts.space != meant) RETURN_IF_ERROR(CheckNamespaceName(parts.space));
  RETURN_IF_ERROR(CheckDatasetName(parts.name));
  reference.space = parts.space;
  reference.name = JoinName(parts.space, parts.name);
  if (at == std::string_view::npos) return reference;
  const std::string_view number = text.substr(at + 1);
  const char* const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, reference.version);
  if (error != std::errc() || stop != end || reference.version < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dataset '", std::string(text), "': expected name or name@version, the version a number from 1"));
  }
  return reference;
}

std::string NameFromPath(std::string_view path) {
  std::string_view stem = path.substr(path.find_last_of('/') + 1);
  for (const std::string_view suffix : {".gz", ".csv", ".idx", ".txt", ".bin"}) {
    if (stem.size() > suffix.size() && stem.substr(stem.size() - suffix.size()) == suffix) {
      stem.remove_suffix(suffix.size());
    }
  }
  std::string name(stem.substr(0, kLongestName));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsNameByte(c); }, '-');
  while (!name.empty() && !absl::ascii_isalnum(static_cast<unsigned char>(name[0]))) name.erase(0, 1);
  return name.empty() ? "dataset" : name;
}

}  // namespace lockstep
