#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "common/metrics/families.h"
#include "common/metrics/metrics_server.h"
#include "common/metrics/process_metrics.h"
#include "common/metrics/scrape_for_test.h"

namespace lockstep {
namespace {

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
