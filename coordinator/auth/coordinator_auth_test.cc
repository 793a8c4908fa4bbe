#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/synchronization/notification.h"
#include "common/auth/audit_chain.h"
#include "common/auth/token.h"
#include "common/base/folder_for_test.h"
#include "common/base/proto_time.h"
#include "coordinator/auth/audit_log.h"
#include "coordinator/auth/authorizer.h"
#include "coordinator/auth/rate_limit.h"
#include "coordinator/auth/rules.h"
#include "coordinator/auth/token_store.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FakeClock : public Clock {
 public:
  absl::Time Now() override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
};

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class AuthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = FolderForTest("coordinator-auth");
    Reopen();
  }

  void Reopen() {
    tokens_.reset();
    auto tokens = TokenStore::Open(folder_ + "/auth.db", &clock_);
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    tokens_ = *std::move(tokens);
  }

  std::string Make(const std::string& name, v1::TokenRole role, absl::Duration ttl = absl::ZeroDuration()) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_role(role);
    if (ttl > absl::ZeroDuration()) *request.mutable_ttl() = ToProto(ttl);
    const auto made = tokens_->Create(request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? made->secret() : "";
  }

  FakeClock clock_;
  std::string folder_;
  std::unique_ptr<TokenStore> tokens_;
};

TEST_F(AuthTest, TokenOutlivesTheProcessAndIsNotInTheFile) {
  const std::string secret = Make("ci", v1::TOKEN_ROLE_SUBMITTER);
  Reopen();
  const auto found = tokens_->Find(Sha256Hex(secret));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->name(), "ci");
  EXPECT_THAT(Contents(folder_ + "/auth.db"), Not(HasSubstr(secret.substr(9))));
  EXPECT_THAT(Contents(folder_ + "/auth.db"), HasSubstr(Sha256Hex(secret)));
  struct stat info {};
  ASSERT_EQ(stat((folder_ + "/auth.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AuthTest, NameIsTakenOnlyWhileItsTokenIsValid) {
  Make("ci", v1::TOKEN_ROLE_VIEWER);
  v1::CreateTokenRequest again;
  again.set_name("ci");
  again.set_role(v1::TOKEN_ROLE_VIEWER);
  EXPECT_TRUE(absl::IsAlreadyExists(tokens_->Create(again).status()));
  ASSERT_TRUE(tokens_->Revoke("ci").ok());
  EXPECT_TRUE(tokens_->Create(again).ok());
  EXPECT_EQ(tokens_->List().size(), 2u);
}

TEST_F(AuthTest, ATokenStaysBoundToItsNamespaceAndOnlyViewersAndSubmittersAre) {
  v1::CreateTokenRequest request;
  request.set_name("ada");
  request.set_role(v1::TOKEN_ROLE_SUBMITTER);
  request.set_namespace_("team-a");
  const auto made = tokens_->Create(request);
  ASSERT_TRUE(made.ok()) << made.status();
  Make("all", v1::TOKEN_ROLE_SUBMITTER);
  Reopen();
  Authorizer authorizer(tokens_.get(), &clock_, {});
  Caller caller;
  ASSERT_TRUE(authorizer.Admit(absl::StrCat("Bearer ", made->secret()), Role::kViewer, &caller).ok());
  EXPECT_EQ(caller.scope.only, "team-a");
  EXPECT_EQ(authorizer.Identify(absl::StrCat("Bearer ", made->secret())).scope.only, "team-a");
  EXPECT_EQ(tokens_->ValidBoundTo("team-a"), std::vector<std::string>({"ada"}));
  ASSERT_TRUE(tokens_->Revoke("ada").ok());
  EXPECT_TRUE(tokens_->ValidBoundTo("team-a").empty());
  for (const v1::TokenRole role : {v1::TOKEN_ROLE_WORKER, v1::TOKEN_ROLE_ADMIN}) {
    request.set_name("grace");
    request.set_role(role);
    EXPECT_TRUE(absl::IsInvalidArgument(tokens_->Create(request).status())) << role;
  }
}

TEST_F(AuthTest, WhatIsAboutAllNamespacesIsForNoBoundToken) {
  for (const char* method :
       {"lockstep.v1.Jobs/GetJob", "lockstep.v1.Jobs/SubmitJob", "lockstep.v1.Workers/ListWorkers"})
    EXPECT_TRUE(FindRule(method)->scoped) << method;
  for (const char* method : {"lockstep.v1.Datasets/ReadShard", "lockstep.v1.Namespaces/CreateNamespace",
                             "lockstep.v1.Tokens/CreateToken", "lockstep.v1.Workers/Connect"})
    EXPECT_FALSE(FindRule(method)->scoped) << method;
}

TEST_F(AuthTest, BadRequestsAreRefused) {
  for (const char* name :
       {"", "a b", "../x", "a\n", "0123456789012345678901234567890123456789012345678901234567890123"}) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_role(v1::TOKEN_ROLE_VIEWER);
    EXPECT_TRUE(absl::IsInvalidArgument(tokens_->Create(request).status())) << name;
  }
  v1::CreateTokenRequest request;
  request.set_name("x");
  EXPECT_TRUE(absl::IsInvalidArgument(tokens_->Create(request).status()));
  request.set_role(static_cast<v1::TokenRole>(9));
  EXPECT_TRUE(absl::IsInvalidArgument(tokens_->Create(request).status()));
  EXPECT_TRUE(absl::IsNotFound(tokens_->Revoke("nobody").status()));
}

TEST_F(AuthTest, FirstTokenIsMadeOnceAndForAnAdmin) {
  const std::string path = folder_ + "/admin.token";
  ASSERT_TRUE(MakeFirstToken(tokens_.get(), path).ok());
  const std::string secret = *ReadTokenFile(path);
  const auto token = tokens_->Find(Sha256Hex(secret));
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->role(), v1::TOKEN_ROLE_ADMIN);
  ASSERT_TRUE(tokens_->Revoke("admin").ok());
  ASSERT_TRUE(MakeFirstToken(tokens_.get(), path).ok());
  EXPECT_EQ(*ReadTokenFile(path), secret);  // a revoked one is not replaced
}

TEST_F(AuthTest, TokensAreJudgedByValidityThenByRole) {
  Authorizer authorizer(tokens_.get(), &clock_, {});
  const std::string viewer = "Bearer " + Make("v", v1::TOKEN_ROLE_VIEWER, absl::Hours(1));
  EXPECT_TRUE(authorizer.Authorize(viewer, Role::kViewer).ok());
  const absl::Status denied = authorizer.Authorize(viewer, Role::kSubmitter);
  EXPECT_TRUE(absl::IsPermissionDenied(denied));
  EXPECT_THAT(std::string(denied.message()), testing::AllOf(HasSubstr("submitter"), HasSubstr("viewer")));
  EXPECT_TRUE(absl::IsUnauthenticated(authorizer.Authorize("", Role::kViewer)));
  EXPECT_TRUE(absl::IsUnauthenticated(authorizer.Authorize(viewer + "x", Role::kViewer)));
  clock_.now += absl::Hours(1);
  EXPECT_THAT(std::string(authorizer.Authorize(viewer, Role::kViewer).message()), HasSubstr("expired on"));
  const std::string admin = "Bearer " + Make("a", v1::TOKEN_ROLE_ADMIN);
  ASSERT_TRUE(tokens_->Revoke("a").ok());
  EXPECT_THAT(std::string(authorizer.Authorize(admin, Role::kViewer).message()), HasSubstr("revoked on"));
}

TEST_F(AuthTest, RateIsLimitedForEachTokenAlone) {
  Authorizer authorizer(tokens_.get(), &clock_, {.calls_per_second = 10, .burst = 2});
  const std::string one = "Bearer " + Make("one", v1::TOKEN_ROLE_VIEWER),
                    two = "Bearer " + Make("two", v1::TOKEN_ROLE_VIEWER);
  EXPECT_TRUE(authorizer.Authorize(one, Role::kViewer).ok());
  EXPECT_TRUE(authorizer.Authorize(one, Role::kViewer).ok());
  const absl::Status status = authorizer.Authorize(one, Role::kViewer);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("100ms"));
  EXPECT_TRUE(authorizer.Authorize(two, Role::kViewer).ok());
  clock_.now += absl::Milliseconds(101);
  EXPECT_TRUE(authorizer.Authorize(one, Role::kViewer).ok());
  EXPECT_FALSE(authorizer.Authorize(one, Role::kViewer).ok());
}

TEST(RateLimit, ClockThatGoesBackGivesNothing) {
  RateLimit limit(1, 1);
  EXPECT_EQ(limit.Take(absl::FromUnixSeconds(100)), absl::ZeroDuration());
  EXPECT_GT(limit.Take(absl::FromUnixSeconds(50)), absl::ZeroDuration());
}

TEST(Rules, UnknownMethodHasNone) {
  EXPECT_EQ(FindRule("lockstep.v1.Jobs/Nothing"), nullptr);
  EXPECT_EQ(FindRule(""), nullptr);
  ASSERT_NE(FindRule("lockstep.v1.Chaos/InjectFault"), nullptr);
  EXPECT_EQ(FindRule("lockstep.v1.Chaos/InjectFault")->needed, Role::kAdmin);
}

class AuditTest : public AuthTest {
 protected:
  std::string path() const { return folder_ + "/audit.log"; }
  std::unique_ptr<AuditLog> Open() {
    auto log = AuditLog::Open(path(), &clock_);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }
};

TEST_F(AuditTest, LineIsInTheFileBeforeItsCallback) {
  const auto log = Open();
  absl::Notification written;
  std::string then;
  log->Append({.who = "ci", .rpc = "lockstep.v1.Jobs/SubmitJob", .job = "j1", .outcome = "OK"}, [&] {
    then = Contents(path());
    written.Notify();
  });
  written.WaitForNotification();
  EXPECT_THAT(
      then, testing::AllOf(HasSubstr(R"("who":"ci")"), HasSubstr(R"("job":"j1")"), testing::EndsWith("}\n")));
}

TEST_F(AuditTest, ChainGoesOnAfterARestartAndATornLine) {
  Open()->Append({.rpc = "a", .outcome = "OK"});
  Open()->Append({.rpc = "b", .outcome = "OK"});
  EXPECT_EQ(VerifyAuditLog(path(), "")->lines, 2);
  const std::string whole = Contents(path());
  for (size_t cut = whole.find('\n') + 1; cut < whole.size(); cut += 23) {
    std::ofstream(path(), std::ios::trunc) << whole.substr(0, cut);
    Open()->Append({.rpc = "c", .outcome = "OK"});
    const auto summary = VerifyAuditLog(path(), "");
    ASSERT_TRUE(summary.ok()) << summary.status() << " after a cut at " << cut;
    ASSERT_EQ(summary->lines, 2);
  }
}

TEST_F(AuditTest, AFileThatIsFullIsRenamedAndTheChainGoesOn) {
  const auto fill = [this](int lines) {
    const auto log = AuditLog::Open(path(), &clock_, /*limit=*/1000);
    for (int i = 0; i < lines; ++i) {
      absl::Notification written;
      (*log)->Append({.rpc = "x", .outcome = "OK"}, [&] { written.Notify(); });
      written.WaitForNotification();
    }
    EXPECT_TRUE((*log)->status().ok());
  };
  fill(20);
  const auto first = VerifyAuditLog(path(), "");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->lines, 20);
  EXPECT_GT(first->files, 3);
  for (int file = 1; file < first->files; ++file) {
    EXPECT_LE(Contents(absl::StrCat(path(), ".", file)).size(), 1000u);
    EXPECT_GT(Contents(absl::StrCat(path(), ".", file)).size(), 500u);
  }
  const std::string oldest = Contents(path() + ".1");
  fill(20);  // after a restart
  EXPECT_EQ(VerifyAuditLog(path(), first->head)->lines, 40);
  EXPECT_EQ(Contents(path() + ".1"), oldest);
}

// rename, then the new file: between the two, and right after.
TEST_F(AuditTest, ACrashWhileAFileIsBegunLosesNothing) {
  for (const bool begun : {false, true}) {
    Open()->Append({.rpc = "a", .outcome = "OK"});
    const auto before = VerifyAuditLog(path(), "");
    ASSERT_TRUE(before.ok()) << before.status();
    std::filesystem::rename(path(), absl::StrCat(path(), ".", before->files));
    if (begun) std::ofstream(path()) << R"({"n":2,"ti)";
    Open()->Append({.rpc = "b", .outcome = "OK"});
    const auto summary = VerifyAuditLog(path(), before->head);
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->lines, before->lines + 1);
    EXPECT_EQ(summary->files, before->files + 1);
  }
}

TEST_F(AuditTest, WhereNoFileCanBeBegunTheOldOneGoesOn) {
  const auto log = AuditLog::Open(path(), &clock_, /*limit=*/100);
  const auto append = [&] {
    absl::Notification written;
    (*log)->Append({.rpc = "x", .outcome = "OK"}, [&] { written.Notify(); });
    written.WaitForNotification();
  };
  append();
  std::filesystem::rename(path(), path() + "-taken");  // as if by somebody else: the name is gone
  append();
  EXPECT_TRUE((*log)->status().ok());
  std::filesystem::rename(path() + "-taken", path());
  EXPECT_EQ(VerifyAuditLog(path(), "")->lines, 2);
  append();
  EXPECT_EQ(VerifyAuditLog(path(), "")->lines, 3);
  EXPECT_EQ(VerifyAuditLog(path(), "")->files, 2);
}

TEST_F(AuditTest, ForeignFileIsNotContinued) {
  std::ofstream(path()) << "hello\n";
  EXPECT_TRUE(absl::IsDataLoss(AuditLog::Open(path(), &clock_).status()));
  EXPECT_EQ(Contents(path()), "hello\n");
}

TEST_F(AuditTest, TextFromOutsideStaysOnItsLine) {
  Open()->Append({.who = "a\n{\"n\":1}\"\xff", .rpc = std::string(5000, 'x'), .outcome = "OK"});
  const auto summary = VerifyAuditLog(path(), "");
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->lines, 1);
  EXPECT_LT(Contents(path()).size(), 2000u);
}

TEST_F(AuditTest, FloodOfDeniedCallsIsCountedNotWritten) {
  {
    const auto log = Open();
    for (int i = 0; i < 1000; ++i) log->AppendDenied({.rpc = "x", .outcome = "UNAUTHENTICATED"});
    clock_.now += absl::Seconds(1);
    log->AppendDenied({.rpc = "x", .outcome = "UNAUTHENTICATED"});
  }
  EXPECT_EQ(VerifyAuditLog(path(), "")->lines, 101);
  EXPECT_THAT(Contents(path()), HasSubstr(R"("denied_and_not_written":900)"));
}

TEST_F(AuditTest, FullDiskIsToldAndOutlived) {
  signal(SIGXFSZ, SIG_IGN);
  const auto log = Open();
  const auto append = [&] {
    absl::Notification written;
    log->Append({.rpc = "x", .outcome = "OK"}, [&] { written.Notify(); });
    written.WaitForNotification();
  };
  append();
  rlimit whole{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &whole), 0);
  rlimit small = whole;
  small.rlim_cur = Contents(path()).size() + 20;  // half a line
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  append();
  const absl::Status status = log->status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &whole), 0);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path()));
  append();
  EXPECT_TRUE(log->status().ok());
  EXPECT_EQ(VerifyAuditLog(path(), "")->lines, 2);
}

}  // namespace
}  // namespace lockstep
