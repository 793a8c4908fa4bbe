// The tokens that there are, in a SQLite file of their own that its owner alone can read: names, roles, times
// and the SHA-256 of each token, never a token. All of them are in memory as well, so that a call is admitted
// without a look at the disk.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/auth/role.h"
#include "common/auth/token.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/store/sqlite_database.h"
#include "lockstep/v1/tokens.pb.h"

namespace lockstep {

class TokenStore {
 public:
  // `clock` must outlive the store. DATA_LOSS: the file is damaged.
  static absl::StatusOr<std::unique_ptr<TokenStore>> Open(const std::string& path, Clock* clock);

  // Contracts in tokens.proto. Both return when the change is on disk.
  absl::StatusOr<v1::CreateTokenResponse> Create(const v1::CreateTokenRequest& request,
                                                 const std::string& secret = NewToken());
  absl::StatusOr<v1::Token> Revoke(const std::string& name);
  std::vector<v1::Token> List() const;
  // Names of the valid tokens that are bound to a namespace.
  std::vector<std::string> ValidBoundTo(const std::string& space) const;
  bool empty() const;

  // By the token's SHA-256; also one that is revoked or expired.
  std::optional<v1::Token> Find(const std::string& digest) const;
  // UNAUTHENTICATED: revoked or expired, and which.
  absl::Status CheckValid(const v1::Token& token) const;

  // Called after each revocation, on its thread; replaces the one before.
  void OnRevoked(std::function<void()> callback);

 private:
  TokenStore(std::unique_ptr<SqliteDatabase> database, Clock* clock)
      : database_(std::move(database)), clock_(clock) {}
  absl::Status Load();
  absl::Status Save(const std::string& digest, const v1::Token& token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The digest of the valid token of this name; empty: there is none.
  std::string ValidByName(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  const std::unique_ptr<SqliteDatabase> database_ ABSL_PT_GUARDED_BY(mutex_);
  std::map<std::string, v1::Token> tokens_ ABSL_GUARDED_BY(mutex_);  // by SHA-256
  std::function<void()> on_revoked_ ABSL_GUARDED_BY(mutex_);
  Clock* const clock_;
};

Role RoleOf(const v1::Token& token);  // REQUIRES: its role is not UNSPECIFIED

// The first admin's way in: if the store has never had a token, makes one with the role admin and leaves it
// in `path`, for its owner alone.
absl::Status MakeFirstToken(TokenStore* store, const std::string& path);

}  // namespace lockstep
