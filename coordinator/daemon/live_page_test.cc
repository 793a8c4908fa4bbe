// Who may ask the live page for what, by its own table: a route that is added is asked here too.
#include "coordinator/daemon/live_page.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_replace.h"
#include "coordinator/jobs/testing.h"

namespace lockstep {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Role kRoles[] = {Role::kViewer, Role::kSubmitter, Role::kWorker, Role::kAdmin};

class LivePageTest : public ControllerTest {
 protected:
  LivePageTest() {
    flags_.data_dir = directory_;
    flags_.http_listen = "127.0.0.1:0";
    flags_.auth = true;
    auto gatekeeper = OpenGatekeeper(flags_, &clock_);
    EXPECT_TRUE(gatekeeper.ok()) << gatekeeper.status();
    gatekeeper_ = *std::move(gatekeeper);
    auto page = LivePage::Start(flags_, gatekeeper_, controller_.get(), store_.get(), &clock_);
    EXPECT_TRUE(page.ok()) << page.status();
    page_ = *std::move(page);
    for (const Role role : kRoles) {
      v1::CreateTokenRequest request;
      request.set_name(absl::StrCat("a-", std::string(RoleName(role))));
      request.set_role(static_cast<v1::TokenRole>(static_cast<int>(role) + 1));
      tokens_[role] = absl::StrCat("Bearer ", gatekeeper_.tokens->Create(request)->secret());
    }
  }

  int Ask(const HttpRoute& route, const std::string& job, const std::string& authorization) {
    HttpRequest request;
    request.method = route.method;
    request.path = absl::StrReplaceAll(route.pattern, {{"{}", job}});
    request.headers = {{"host", "localhost:7073"}, {"content-type", "application/json"}};
    if (!authorization.empty()) request.headers["authorization"] = authorization;
    return page_->router().Handle(request).status;
  }

  std::string AuditLines() {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/audit.log").rdbuf();
    return text.str();
  }

  CoordinatorFlags flags_;
  Gatekeeper gatekeeper_;
  std::unique_ptr<LivePage> page_;
  std::map<Role, std::string> tokens_;
};

TEST_F(LivePageTest, ARouteAnswersThoseWhoseRoleMayAndNobodyElse) {
  const std::string job = SubmitId(Spec());
  ASSERT_GT(page_->router().routes().size(), 10u);
  for (const HttpRoute& route : page_->router().routes()) {
    SCOPED_TRACE(absl::StrCat(route.method, " ", route.pattern));
    if (!route.needed.has_value()) {
      EXPECT_EQ(Ask(route, job, ""), 200);
      EXPECT_EQ(route.method, "GET");
      continue;
    }
    EXPECT_EQ(Ask(route, job, ""), 401);
    EXPECT_EQ(Ask(route, job, "Bearer lockstep_0000"), 401);
    EXPECT_EQ(Ask(route, job, "Basic YWRtaW46YWRtaW4="), 401);
    for (const Role role : kRoles) {
      SCOPED_TRACE(std::string(RoleName(role)));
      const int status = Ask(route, job, tokens_[role]);
      if (Covers(role, *route.needed)) {
        EXPECT_THAT(status, Not(AnyOf(401, 403, 500)));
      } else {
        EXPECT_EQ(status, 403);
      }
    }
  }
}

TEST_F(LivePageTest, ABoundTokenSeesItsNamespaceAlone) {
  v1::CreateTokenRequest request;
  request.set_name("ada");
  request.set_role(v1::TOKEN_ROLE_SUBMITTER);
  request.set_namespace_("team-a");
  const std::string ada = absl::StrCat("Bearer ", gatekeeper_.tokens->Create(request)->secret());
  v1::CreateNamespaceRequest create;
  create.set_name("team-a");
  controller_->CreateNamespace(create, [](const absl::StatusOr<v1::Namespace>&) {});
  const std::string mine = Submit(Spec(), "", {"team-a", {}})->id(), other = SubmitId(Spec());
  int of_jobs = 0;
  for (const HttpRoute& route : page_->router().routes()) {
    if (route.pattern.find("{}") == std::string::npos) continue;
    SCOPED_TRACE(absl::StrCat(route.method, " ", route.pattern));
    ++of_jobs;
    EXPECT_EQ(Ask(route, other, ada), 404);
    EXPECT_EQ(Ask(route, "no-such-job", ada), 404);
    EXPECT_THAT(Ask(route, mine, ada), AnyOf(200, 409));
  }
  EXPECT_GT(of_jobs, 5);
  EXPECT_EQ(StateOf(other), v1::JOB_STATE_QUEUED);
  HttpRequest list;
  list.method = "GET";
  list.path = "/api/jobs";
  list.headers = {{"host", "localhost:7073"}, {"authorization", ada}};
  const std::string jobs = page_->router().Handle(list).body;
  EXPECT_THAT(jobs, HasSubstr(mine));
  EXPECT_THAT(jobs, Not(HasSubstr(other)));
  list.headers["authorization"] = tokens_[Role::kViewer];
  EXPECT_THAT(page_->router().Handle(list).body, HasSubstr(other));
}

TEST_F(LivePageTest, WhatIsChangedIsNotedWithItsName) {
  const std::string job = SubmitId(Spec());
  const HttpRoute cancel = {"POST", "/api/jobs/{}/cancel", Role::kSubmitter, nullptr};
  EXPECT_EQ(Ask(cancel, job, tokens_[Role::kSubmitter]), 200);
  EXPECT_THAT(AuditLines(), HasSubstr(absl::StrCat("/api/jobs/", job, "/cancel")));
  EXPECT_THAT(AuditLines(), HasSubstr("\"a-submitter\""));
  EXPECT_THAT(AuditLines(), Not(HasSubstr(tokens_[Role::kSubmitter].substr(7))));
}

TEST_F(LivePageTest, ARevokedTokenIsGoodForNothing) {
  const HttpRoute jobs = {"GET", "/api/jobs", Role::kViewer, nullptr};
  EXPECT_EQ(Ask(jobs, "", tokens_[Role::kViewer]), 200);
  ASSERT_TRUE(gatekeeper_.tokens->Revoke("a-viewer").ok());
  EXPECT_EQ(Ask(jobs, "", tokens_[Role::kViewer]), 401);
}

}  // namespace
}  // namespace lockstep
