#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/time/clock.h"
#include "common/metrics/families.h"
#include "common/metrics/metrics_access.h"
#include "common/metrics/metrics_server.h"
#include "common/metrics/process_metrics.h"
#include "common/metrics/scrape_for_test.h"

namespace lockstep {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr MetricDeclaration kQueueDepth = {"lockstep_queue_jobs", MetricType::kGauge, "jobs", "priority",
                                           "Jobs that wait for devices."};

class QueueDepth : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    auto family = MakeFamily(kQueueDepth);
    AddSample(&family, 3, {{"priority", "0"}});
    return {family};
  }
};

TEST(MetricsServer, ScrapeHasBuildInfoProcessAndOwnMetrics) {
  auto server = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test"});
  ASSERT_TRUE(server.ok()) << server.status();
  auto collectable = std::make_shared<QueueDepth>();
  (*server)->Add(collectable);
  const std::string page = ScrapeForTest((*server)->port());
  EXPECT_THAT(page, HasSubstr("lockstep_build_info{daemon=\"test\",version=\"0."));
  EXPECT_THAT(page, HasSubstr("\nprocess_resident_memory_bytes "));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_jobs{priority=\"0\"} 3"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

TEST(MetricsServer, TakenPortIsNamedWithTheFlagToChange) {
  auto first = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test"});
  ASSERT_TRUE(first.ok());
  auto second = MetricsServer::Start({.listen = (*first)->address(), .daemon = "test"});
  ASSERT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("port ", (*first)->port(), " is in use")));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics-listen"));
}

TEST(MetricsServer, OnlyMetricsIsThereAndOnlyToRead) {
  auto server = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test"});
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  EXPECT_THAT(AskForTest(port, "GET", "/", ""), HasSubstr("HTTP/1.1 404 "));
  EXPECT_THAT(AskForTest(port, "GET", "/metrics/../metrics", ""), HasSubstr("HTTP/1.1 404 "));
  EXPECT_THAT(AskForTest(port, "POST", "/metrics", ""), HasSubstr("HTTP/1.1 405 "));
  EXPECT_THAT(AskForTest(port, "HEAD", "/metrics", ""), EndsWith("\r\n\r\n"));
}

TEST(MetricsServer, ATokenIsAskedForAndReadAnewAtEachScrape) {
  const std::string path = testing::TempDir() + "/metrics_test_token";
  const auto write = [&path](const std::string& text) { std::ofstream(path) << text; };
  write("0123456789abcdef\n");
  auto server = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test", .token_file = path});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto ask = [port = (*server)->port()](const std::string& header) {
    const std::string answer = AskForTest(port, "GET", "/metrics", header);
    return answer.substr(0, answer.find("\r\n"));
  };
  EXPECT_EQ(ask("Authorization: Bearer 0123456789abcdef\r\n"), "HTTP/1.1 200 OK");
  for (const char* wrong :
       {"", "Authorization: Bearer 0123456789abcdeX\r\n", "Authorization: Bearer \r\n",
        "Authorization: 0123456789abcdef\r\n", "Authorization: Bearer 0123456789abcdef0\r\n"}) {
    EXPECT_EQ(ask(wrong), "HTTP/1.1 401 Unauthorized") << wrong;
  }
  write("fedcba9876543210");
  EXPECT_EQ(ask("Authorization: Bearer 0123456789abcdef\r\n"), "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(ask("Authorization: Bearer fedcba9876543210\r\n"), "HTTP/1.1 200 OK");
  std::remove(path.c_str());
  EXPECT_EQ(ask("Authorization: Bearer fedcba9876543210\r\n"), "HTTP/1.1 503 Service Unavailable");
}

TEST(MetricsServer, ATokenThatIsNoneIsRefusedAtTheStart) {
  const std::string path = testing::TempDir() + "/metrics_test_no_token";
  for (const char* text : {"", "\n", "short", "0123456789 abcdef", "0123456789abcdef\n0123456789abcdef"}) {
    std::ofstream(path) << text;
    const auto server = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test", .token_file = path});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_THAT(std::string(server.status().message()), HasSubstr("--metrics-token-file")) << text;
  }
  std::remove(path.c_str());
  const auto absent = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "test", .token_file = path});
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr("No such file"));
}

TEST(MetricsAccess, OffLoopbackTlsAndATokenAreNeededUnlessTheNetworkIsTrusted) {
  const absl::Time now = absl::Now();
  MetricsAccess access = {.listen = "127.0.0.1:7071", .tls = {}, .token_file = ""};
  EXPECT_TRUE(access.Check(false, now).ok());
  access.token_file = "token";
  EXPECT_TRUE(access.Check(false, now).ok());
  access.listen = "0.0.0.0:7071";
  EXPECT_THAT(std::string(access.Check(true, now).message()), HasSubstr("for all to read"));
  access.token_file.clear();
  EXPECT_TRUE(access.Check(true, now).ok());
  EXPECT_THAT(std::string(access.Check(false, now).message()), HasSubstr("--insecure"));
}

TEST(MetricsServer, EmptyAddressMeansNoHttpServer) {
  auto server = MetricsServer::Start({.listen = "", .daemon = "test"});
  ASSERT_TRUE(server.ok());
  EXPECT_EQ((*server)->port(), 0);
  EXPECT_EQ((*server)->address(), "");
}

TEST(DescribeMetrics, EachOneIsALineWithTypeUnitAndLabels) {
  EXPECT_EQ(DescribeMetrics("queue", {&kQueueDepth}),
            "## queue\n\n| metric | type | unit | labels | what |\n|---|---|---|---|---|\n"
            "| `lockstep_queue_jobs` | gauge | jobs | `priority` | Jobs that wait for devices. |\n");
}

TEST(ProcessMetrics, ResidentMemoryIsPlausible) {
  EXPECT_GT(ResidentMemoryBytes(), 1e6);
  EXPECT_LT(ResidentMemoryBytes(), 1e12);
}

}  // namespace
}  // namespace lockstep
