#include "coordinator/auth/authorizer.h"

#include "common/auth/token.h"

namespace lockstep {

Caller Authorizer::Identify(std::string_view authorization) const {
  Caller caller;
  const auto token = TokenOfHeader(authorization);
  if (!token.ok()) return caller;
  caller.digest = Sha256Hex(*token);
  if (const auto known = tokens_->Find(caller.digest); known.has_value()) {
    caller.name = known->name();
    caller.role = std::string(RoleName(RoleOf(*known)));
    caller.scope = {known->namespace_()};
  }
  return caller;
}

absl::Status Authorizer::Admit(std::string_view authorization, Role needed, Caller* caller) {
  ASSIGN_OR_RETURN(const std::string_view token, TokenOfHeader(authorization));
  const std::string digest = Sha256Hex(token);
  if (caller != nullptr) caller->digest = digest;
  const auto known = tokens_->Find(digest);
  if (!known.has_value()) {
    return absl::UnauthenticatedError(
        "the token is not known here; is it for another coordinator, or not copied whole?");
  }
  const Role role = RoleOf(*known);
  if (caller != nullptr) {
    caller->name = known->name();
    caller->role = std::string(RoleName(role));
    caller->scope = {known->namespace_()};
  }
  RETURN_IF_ERROR(tokens_->CheckValid(*known));
  if (!Covers(role, needed)) {
    return absl::PermissionDeniedError(
        absl::StrCat("this needs the role ", std::string(RoleName(needed)), ", and the token ", known->name(),
                     " has ", std::string(RoleName(role)), "; ask an admin for another token"));
  }
  absl::MutexLock lock(&mutex_);
  auto limit = limits_.try_emplace(digest, options_.calls_per_second, options_.burst).first;
  const absl::Duration wait = limit->second.Take(clock_->Now());
  if (wait == absl::ZeroDuration()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the token ", known->name(), " made more than ", options_.calls_per_second,
                   " calls a second (--calls-per-second); try again in ",
                   absl::FormatDuration(absl::Ceil(wait, absl::Milliseconds(1)))));
}

}  // namespace lockstep
