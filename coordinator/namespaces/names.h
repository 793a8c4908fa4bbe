// Names of namespaces, and of what is in them: "digits" is that of the namespace that is meant,
// "team-a/digits" says which. Plain functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

inline constexpr char kDefaultNamespace[] = "default";

// INVALID_ARGUMENT: not a DNS label (RFC 1123): 1 to 63 of a-z, 0-9 and '-', no '-' at either end.
absl::Status CheckNamespaceName(std::string_view name);

struct QualifiedName {
  std::string space;
  std::string name;
};

// `otherwise`: the namespace of a name that says none.
QualifiedName SplitName(const std::string& text, const std::string& otherwise);

// As short as it can be: "digits" of the default namespace, "team-a/digits" of another one.
std::string JoinName(const std::string& space, const std::string& name);

}  // namespace lockstep
