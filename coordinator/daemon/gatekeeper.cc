#include "coordinator/daemon/gatekeeper.h"

#include "common/logging/logging.h"

namespace lockstep {

absl::StatusOr<Gatekeeper> OpenGatekeeper(const CoordinatorFlags& flags, Clock* clock) {
  Gatekeeper gatekeeper;
  if (!NeedsTokens(flags)) {
    if (flags.insecure)
      LogWarning("nobody is asked for a token: whoever reaches --listen controls this coordinator");
    return gatekeeper;
  }
  ASSIGN_OR_RETURN(gatekeeper.tokens, TokenStore::Open(absl::StrCat(flags.data_dir, "/auth.db"), clock));
  const std::string first = absl::StrCat(flags.data_dir, "/admin.token");
  if (gatekeeper.tokens->empty())
    LogInfo("the first token, of the role admin, is written", {{"file", first}});
  RETURN_IF_ERROR(MakeFirstToken(gatekeeper.tokens.get(), first));
  ASSIGN_OR_RETURN(gatekeeper.audit, AuditLog::Open(absl::StrCat(flags.data_dir, "/audit.log"), clock,
                                                    int64_t{flags.audit_file_mib} << 20));
  const double rate = flags.calls_per_second;
  gatekeeper.authorizer = std::make_unique<Authorizer>(
      gatekeeper.tokens.get(), clock, Authorizer::Options{.calls_per_second = rate, .burst = 2 * rate});
  return gatekeeper;
}

}  // namespace lockstep
