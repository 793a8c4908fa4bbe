#include "coordinator/auth/token_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/auth/token.h"
#include "common/base/proto_time.h"

namespace lockstep {
namespace {

constexpr char kSchema[] = R"sql(
CREATE TABLE IF NOT EXISTS tokens (
  digest TEXT PRIMARY KEY,        -- SHA-256 of the token, hex
  token BLOB NOT NULL             -- v1::Token
) STRICT;
)sql";

absl::Status CheckRequest(const v1::CreateTokenRequest& request) {
  const std::string& name = request.name();
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!plain || name.empty() || name.size() > 63) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: expected 1 to 63 letters, digits, '.', '-' or '_', such as ci; got ", name.size(), " bytes"));
  }
  if (request.role() <= v1::TOKEN_ROLE_UNSPECIFIED || request.role() > v1::TOKEN_ROLE_ADMIN) {
    return absl::InvalidArgumentError("role: expected viewer, submitter, worker or admin");
  }
  const bool may_be_bound =
      request.role() == v1::TOKEN_ROLE_VIEWER || request.role() == v1::TOKEN_ROLE_SUBMITTER;
  if (!request.namespace_().empty() && !may_be_bound) {
    return absl::InvalidArgumentError(
        "namespace: viewers and submitters alone can be bound to one; workers and admins serve all of them");
  }
  const absl::Duration ttl = FromProto(request.ttl());
  if (request.has_ttl() && (ttl < absl::Seconds(1) || ttl > absl::Hours(24 * 36500))) {
    return absl::InvalidArgumentError(
        absl::StrCat("ttl: expected 1 s to 100 years, got ", absl::FormatDuration(ttl)));
  }
  return absl::OkStatus();
}

absl::Status MakePrivate(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || fchmod(fd, 0600) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make ", path, " for its owner alone: ", std::strerror(error)));
  }
  close(fd);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenStore>> TokenStore::Open(const std::string& path, Clock* clock) {
  RETURN_IF_ERROR(MakePrivate(path));
  ASSIGN_OR_RETURN(auto database, SqliteDatabase::Open(path, {}));
  RETURN_IF_ERROR(database->Execute("PRAGMA synchronous=FULL;"));
  RETURN_IF_ERROR(database->Execute(kSchema));
  std::unique_ptr<TokenStore> store(new TokenStore(std::move(database), clock));
  RETURN_IF_ERROR(store->Load());
  return store;
}

absl::Status TokenStore::Load() {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const auto select, database_->Prepare("SELECT digest, token FROM tokens"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, select->Step());
    if (!row) return absl::OkStatus();
    const std::string_view bytes = select->GetBlob(1);
    v1::Token token;
    if (!token.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::DataLossError("a token in the store cannot be read; restore it from a backup");
    }
    tokens_[select->GetText(0)] = std::move(token);
  }
}

absl::Status TokenStore::Save(const std::string& digest, const v1::Token& token) {
  ASSIGN_OR_RETURN(const auto insert,
                   database_->Prepare("INSERT OR REPLACE INTO tokens (digest, token) VALUES (?, ?)"));
  const std::string bytes = token.SerializeAsString();
  RETURN_IF_ERROR(insert->Text(digest).Blob(bytes).Run());
  tokens_[digest] = token;
  return absl::OkStatus();
}

std::string TokenStore::ValidByName(const std::string& name) const {
  for (const auto& [digest, token] : tokens_) {
    if (token.name() == name && CheckValid(token).ok()) return digest;
  }
  return "";
}

absl::StatusOr<v1::CreateTokenResponse> TokenStore::Create(const v1::CreateTokenRequest& request,
                                                           const std::string& secret) {
  RETURN_IF_ERROR(CheckRequest(request));
  v1::CreateTokenResponse response;
  response.set_secret(secret);
  v1::Token* token = response.mutable_token();
  token->set_name(request.name());
  token->set_role(request.role());
  token->set_namespace_(request.namespace_());
  const absl::Time now = clock_->Now();
  *token->mutable_created() = ToProto(now);
  if (request.has_ttl()) *token->mutable_expires() = ToProto(now + FromProto(request.ttl()));
  absl::MutexLock lock(&mutex_);
  if (!ValidByName(request.name()).empty()) {
    return absl::AlreadyExistsError(absl::StrCat("there is a token named ", request.name(),
                                                 " already; revoke it first, or take another name"));
  }
  RETURN_IF_ERROR(Save(Sha256Hex(response.secret()), *token));
  return response;
}

absl::StatusOr<v1::Token> TokenStore::Revoke(const std::string& name) {
  std::function<void()> tell;
  v1::Token token;
  {
    absl::MutexLock lock(&mutex_);
    const std::string digest = ValidByName(name);
    if (digest.empty()) {
      return absl::NotFoundError(
          "no valid token has that name; `lockstep token list` shows those that there are");
    }
    token = tokens_[digest];
    *token.mutable_revoked() = ToProto(clock_->Now());
    RETURN_IF_ERROR(Save(digest, token));
    tell = on_revoked_;
  }
  if (tell) tell();
  return token;
}

std::vector<std::string> TokenStore::ValidBoundTo(const std::string& space) const {
  std::vector<std::string> names;
  absl::MutexLock lock(&mutex_);
  for (const auto& [digest, token] : tokens_) {
    if (token.namespace_() == space && CheckValid(token).ok()) names.push_back(token.name());
  }
  return names;
}

std::vector<v1::Token> TokenStore::List() const {
  std::vector<v1::Token> tokens;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [digest, token] : tokens_) tokens.push_back(token);
  }
  std::sort(tokens.begin(), tokens.end(), [](const v1::Token& a, const v1::Token& b) {
    return std::pair(a.name(), FromProto(a.created())) < std::pair(b.name(), FromProto(b.created()));
  });
  return tokens;
}

bool TokenStore::empty() const {
  absl::MutexLock lock(&mutex_);
  return tokens_.empty();
}

std::optional<v1::Token> TokenStore::Find(const std::string& digest) const {
  absl::MutexLock lock(&mutex_);
  const auto found = tokens_.find(digest);
  if (found == tokens_.end()) return std::nullopt;
  return found->second;
}

absl::Status TokenStore::CheckValid(const v1::Token& token) const {
  const auto day = [](const google::protobuf::Timestamp& time) {
    return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromProto(time), absl::UTCTimeZone());
  };
  if (token.has_revoked()) {
    return absl::UnauthenticatedError(absl::StrCat("the token ", token.name(), " was revoked on ",
                                                   day(token.revoked()), "; ask an admin for a new one"));
  }
  if (token.has_expires() && clock_->Now() >= FromProto(token.expires())) {
    return absl::UnauthenticatedError(absl::StrCat("the token ", token.name(), " expired on ",
                                                   day(token.expires()), "; ask an admin for a new one"));
  }
  return absl::OkStatus();
}

void TokenStore::OnRevoked(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  on_revoked_ = std::move(callback);
}

Role RoleOf(const v1::Token& token) {
  switch (token.role()) {
    case v1::TOKEN_ROLE_ADMIN:
      return Role::kAdmin;
    case v1::TOKEN_ROLE_WORKER:
      return Role::kWorker;
    case v1::TOKEN_ROLE_SUBMITTER:
      return Role::kSubmitter;
    default:
      return Role::kViewer;
  }
}

absl::Status MakeFirstToken(TokenStore* store, const std::string& path) {
  if (!store->empty()) return absl::OkStatus();
  v1::CreateTokenRequest request;
  request.set_name("admin");
  request.set_role(v1::TOKEN_ROLE_ADMIN);
  // The file first: a crash after it leaves a store without a token, which is made anew.
  const std::string secret = NewToken();
  RETURN_IF_ERROR(WriteTokenFile(path, secret));
  return store->Create(request, secret).status();
}

}  // namespace lockstep
