// What a caller may see: everything, or one namespace, to which its token is bound.
#pragma once

#include <string>

#include "common/base/status.h"
#include "coordinator/namespaces/names.h"

namespace lockstep {

struct Scope {
  std::string only;  // empty: all

  bool Sees(const std::string& space) const { return only.empty() || only == space; }

  // What is meant where a request names none.
  std::string Meant() const { return only.empty() ? kDefaultNamespace : only; }

  // The namespace that a list is of; empty: all. Errors as Choose.
  absl::StatusOr<std::string> Filter(const std::string& asked) const {
    if (asked.empty()) return only;
    return Choose(asked);
  }

  // The namespace that a change goes to. PERMISSION_DENIED, whether there is that one or not.
  absl::StatusOr<std::string> Choose(const std::string& asked) const {
    if (asked.empty()) return Meant();
    if (Sees(asked)) return asked;
    return absl::PermissionDeniedError(
        absl::StrCat("the token is bound to the namespace ", only,
                     "; leave the namespace away, or ask an admin for another token"));
  }
};

}  // namespace lockstep
