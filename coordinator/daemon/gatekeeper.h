// Everything that says who may call: tokens, the decision, the audit log. In the data folder: auth.db,
// audit.log, and admin.token, once, where there was no token.
#pragma once

#include <memory>

#include "coordinator/auth/audit_log.h"
#include "coordinator/auth/authorizer.h"
#include "coordinator/auth/token_store.h"
#include "coordinator/daemon/flags.h"

namespace lockstep {

struct Gatekeeper {
  std::unique_ptr<TokenStore> tokens;
  std::unique_ptr<Authorizer> authorizer;
  std::unique_ptr<AuditLog> audit;
};

// All null where nobody is asked for a token (NeedsTokens). `clock` must outlive what it gives.
absl::StatusOr<Gatekeeper> OpenGatekeeper(const CoordinatorFlags& flags, Clock* clock);

}  // namespace lockstep
