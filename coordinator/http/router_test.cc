#include "coordinator/http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<Scope> Guard(std::string_view authorization, Role needed) {
  if (authorization.empty()) return absl::UnauthenticatedError("who are you?");
  const Role has = authorization == "Bearer strong" ? Role::kSubmitter : Role::kViewer;
  if (!Covers(has, needed)) return absl::PermissionDeniedError("a submitter's token is needed");
  return Scope();
}

std::vector<HttpRoute> Table(int* done) {
  const auto say = [](const HttpCall& call) -> absl::StatusOr<HttpResponse> {
    HttpResponse response;
    response.body = call.arguments.empty() ? "page" : call.arguments[0];
    response.headers = {{"ETag", "\"7\""}};
    return response;
  };
  return {{"GET", "/", std::nullopt, say},
          {"GET", "/api/jobs/{}", Role::kViewer, say},
          {"POST", "/api/jobs/{}/cancel", Role::kSubmitter,
           [done](const HttpCall&) -> absl::StatusOr<HttpResponse> {
             ++*done;
             return HttpResponse();
           }}};
}

class RouterTest : public ::testing::Test {
 protected:
  HttpResponse Get(const std::string& path, std::map<std::string, std::string> headers = {}) {
    return Ask("GET", path, std::move(headers));
  }
  HttpResponse Cancel(std::map<std::string, std::string> headers) {
    headers.try_emplace("authorization", "Bearer strong");
    headers.try_emplace("content-type", "application/json");
    return Ask("POST", "/api/jobs/1m7/cancel", std::move(headers));
  }
  HttpResponse Ask(const std::string& method, const std::string& path,
                   std::map<std::string, std::string> headers) {
    headers.try_emplace("host", "localhost:7073");
    return router_.Handle({method, path, "", std::move(headers), "", ""});
  }

  int done_ = 0;
  Router router_{{}, &Guard, Table(&done_)};
};

std::string HeaderOf(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST_F(RouterTest, ThePageItselfNeedsNoTokenAndTheRestDoes) {
  EXPECT_EQ(Get("/").status, 200);
  const HttpResponse refused = Get("/api/jobs/1m7");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(HeaderOf(refused, "WWW-Authenticate"), "Bearer");
  EXPECT_EQ(Get("/api/jobs/1m7", {{"authorization", "Bearer weak"}}).body, "1m7");
}

TEST_F(RouterTest, AViewerMayNotChangeAnything) {
  EXPECT_EQ(Cancel({{"authorization", "Bearer weak"}}).status, 403);
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(Cancel({}).status, 200);
  EXPECT_EQ(done_, 1);
}

TEST_F(RouterTest, PathsThatAreNotInTheTableLeadNowhere) {
  for (const char* path :
       {"", "*", "//", "/..", "/../etc/passwd", "/%2e%2e/etc/passwd", "/api/jobs/..", "/api/jobs/%2e%2e",
        "/api/jobs/a%2fb", "/api/jobs/", "/api/jobs/a/b", "/api/jobs/a b", "/api/jobs/a.b", "/api/jobs/\xff",
        "/index.html/", "/./", "http://localhost/", "/api/jobs/1m7/"}) {
    EXPECT_EQ(Get(path, {{"authorization", "Bearer weak"}}).status, 404) << path;
  }
  EXPECT_EQ(Get("/api/jobs/" + std::string(64, 'a'), {{"authorization", "Bearer weak"}}).status, 200);
  EXPECT_EQ(Get("/api/jobs/" + std::string(65, 'a'), {{"authorization", "Bearer weak"}}).status, 404);
}

TEST_F(RouterTest, AWrongMethodIsToldTheRightOne) {
  const HttpResponse response = Ask("GET", "/api/jobs/1m7/cancel", {{"authorization", "Bearer strong"}});
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(HeaderOf(response, "Allow"), "POST");
  EXPECT_EQ(Ask("DELETE", "/api/jobs/1m7", {}).status, 405);
  EXPECT_EQ(Ask("OPTIONS", "/api/jobs/1m7/cancel", {}).status, 405);
  EXPECT_EQ(Ask("HEAD", "/", {}).status, 200);
}

TEST_F(RouterTest, AnotherSiteMayNotChangeAnything) {
  for (const char* site : {"cross-site", "same-site"})
    EXPECT_EQ(Cancel({{"sec-fetch-site", site}}).status, 403);
  for (const char* origin :
       {"http://evil.example", "null", "http://localhost:7074", "http://localhost:7073.evil.example"}) {
    EXPECT_EQ(Cancel({{"origin", origin}}).status, 403) << origin;
  }
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(Cancel({{"origin", "http://localhost:7073"}, {"sec-fetch-site", "same-origin"}}).status, 200);
}

TEST_F(RouterTest, WhatWasToChangeSomethingIsNotedWhateverCameOfIt) {
  std::vector<std::string> noted;
  const Router router({.note =
                           [&](const HttpRequest& request, const std::vector<std::string>& arguments,
                               const absl::Status& outcome) {
                             noted.push_back(absl::StrCat(request.peer, " ", arguments[0], " ", done_, " ",
                                                          absl::StatusCodeToString(outcome.code())));
                           }},
                      &Guard, Table(&done_));
  HttpRequest request{"POST", "/api/jobs/1m7/cancel",
                      "",     {{"host", "localhost"}, {"content-type", "application/json"}},
                      "",     "10.0.0.7:5"};
  router.Handle(request);
  request.headers["authorization"] = "Bearer strong";
  router.Handle(request);
  request.method = "GET";
  request.path = "/api/jobs/1m7";
  router.Handle(request);
  EXPECT_THAT(noted, ::testing::ElementsAre("10.0.0.7:5 1m7 0 UNAUTHENTICATED", "10.0.0.7:5 1m7 1 OK"));
}

TEST_F(RouterTest, AFormOfAnotherSiteIsNotJson) {
  for (const char* type :
       {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"}) {
    EXPECT_EQ(Cancel({{"content-type", type}}).status, 400) << type;
  }
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(Cancel({{"content-type", "Application/JSON; charset=utf-8"}}).status, 200);
}

TEST_F(RouterTest, ANameThatPointsAtLoopbackIsNotOurs) {
  for (const char* host :
       {"evil.example:7073", "localhost.evil.example", "", "10.0.0.1:7073", "[::2]:7073", "["}) {
    EXPECT_EQ(Get("/", {{"host", host}}).status, 403) << host;
  }
  for (const char* host : {"127.0.0.1:7073", "[::1]:7073", "localhost"}) {
    EXPECT_EQ(Get("/", {{"host", host}}).status, 200) << host;
  }
  const Router open({.loopback_hosts_only = false}, &Guard, Table(&done_));
  EXPECT_EQ(open.Handle({"GET", "/", "", {{"host", "head.example"}}, "", ""}).status, 200);
}

TEST_F(RouterTest, EveryAnswerCarriesTheHeadersThatBindABrowser) {
  for (const HttpResponse& response : {Get("/"), Get("/nowhere"), Get("/api/jobs/1m7")}) {
    EXPECT_THAT(HeaderOf(response, "Content-Security-Policy"), HasSubstr("default-src 'none'"));
    EXPECT_THAT(HeaderOf(response, "Content-Security-Policy"), Not(HasSubstr("unsafe")));
    EXPECT_EQ(HeaderOf(response, "X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(HeaderOf(response, "Cache-Control"), "no-store");
  }
}

TEST_F(RouterTest, WhatTheReaderHasIsNotSentAgain) {
  const HttpResponse again = Get("/", {{"if-none-match", "\"7\""}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(Get("/", {{"if-none-match", "\"8\""}}).status, 200);
}

TEST_F(RouterTest, ANumberOfTheQueryIsOneOrAnError) {
  const HttpRequest request{"GET", "/", "after=12&tail=&x=-1&y=1e3&z=99999999999999999999", {}, "", ""};
  const HttpCall call{request, {}};
  EXPECT_EQ(*call.Number("after", 5), 12);
  EXPECT_EQ(*call.Number("tail", 5), 5);
  EXPECT_EQ(*call.Number("missing", 5), 5);
  for (const char* name : {"x", "y", "z"}) EXPECT_FALSE(call.Number(name, 5).ok()) << name;
}

}  // namespace
}  // namespace lockstep
