// Who may call what: the one table that decides it. A method without a line in it is denied to everyone, so a
// new one works for nobody until somebody has thought about who it is for (tests/e2e/test_security.py takes
// the list of methods from the server itself).
#pragma once

#include <optional>
#include <string_view>

#include "common/auth/role.h"

namespace lockstep {

struct Rule {
  std::string_view method;     // "lockstep.v1.Jobs/GetJob"
  std::optional<Role> needed;  // nothing: anyone may, without a token
  bool changes = false;        // stands in the audit log
  bool scoped = false;         // it minds whose the caller is: else no token that is bound to a namespace may
};

// nullptr: there is none, so it is denied.
const Rule* FindRule(std::string_view method);

}  // namespace lockstep
