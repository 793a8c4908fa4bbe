#include "coordinator/namespaces/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace lockstep {

absl::Status CheckNamespaceName(std::string_view name) {
  constexpr size_t kLongest = 63;
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  });
  if (plain && !name.empty() && name.size() <= kLongest && name.front() != '-' && name.back() != '-') {
    return absl::OkStatus();
  }
  const std::string shown = name.size() <= kLongest && plain ? absl::StrCat("'", std::string(name), "'")
                                                             : absl::StrCat(name.size(), " bytes");
  return absl::InvalidArgumentError(absl::StrCat(
      "namespace: expected 1 to ", kLongest,
      " small letters, digits or '-', the first and the last not '-', such as team-a; got ", shown));
}

QualifiedName SplitName(const std::string& text, const std::string& otherwise) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return {otherwise, text};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

std::string JoinName(const std::string& space, const std::string& name) {
  return space.empty() || space == kDefaultNamespace ? name : absl::StrCat(space, "/", name);
}

}  // namespace lockstep
