// Decides whether a call is let in, by its token: for gRPC and HTTP alike. Looks nothing up on a disk.
//
// Thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/auth/role.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/auth/rate_limit.h"
#include "coordinator/auth/token_store.h"
#include "coordinator/namespaces/scope.h"

namespace lockstep {

// Whose token came with a call, as far as it is known. Never holds the token.
struct Caller {
  std::string name;    // empty: unknown
  std::string role;    // "submitter"
  std::string digest;  // of the token; empty: none came
  Scope scope;         // of the token
};

class Authorizer {
 public:
  struct Options {
    double calls_per_second = 500;  // of one token
    double burst = 1000;
  };

  // Both must outlive the authorizer.
  Authorizer(const TokenStore* tokens, Clock* clock, const Options& options)
      : tokens_(tokens), clock_(clock), options_(options) {}

  // `authorization`: the header or metadata of that name. UNAUTHENTICATED: it has no valid token.
  // PERMISSION_DENIED: its role may not do this. RESOURCE_EXHAUSTED: too many calls with this token.
  absl::Status Authorize(std::string_view authorization, Role needed) {
    return Admit(authorization, needed, nullptr);
  }

  // The same, and who it is, also of one that is not let in.
  absl::Status Admit(std::string_view authorization, Role needed, Caller* caller);

  // Without counting the call.
  Caller Identify(std::string_view authorization) const;

 private:
  const TokenStore* const tokens_;
  Clock* const clock_;
  const Options options_;
  absl::Mutex mutex_;
  std::map<std::string, RateLimit> limits_ ABSL_GUARDED_BY(mutex_);  // by digest, of tokens that exist
};

}  // namespace lockstep
