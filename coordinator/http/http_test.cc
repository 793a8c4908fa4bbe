#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "common/metrics/scrape_for_test.h"
#include "coordinator/http/controller_metrics.h"
#include "coordinator/http/rpc_metrics.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

std::string Page(const std::vector<prometheus::MetricFamily>& families) {
  return prometheus::TextSerializer().Serialize(families);
}

TEST(ControllerMetrics, EveryStateIsThereAndNumbersComeFromTheSnapshot) {
  ControllerSnapshot snapshot;
  snapshot.jobs_by_state[v1::JOB_STATE_QUEUED] = 3;
  snapshot.workers_by_state[v1::WORKER_STATE_READY] = 2;
  snapshot.devices_total = 4;
  snapshot.steps_total = 1000;
  const std::string page = Page(MakeControllerMetrics([snapshot] { return snapshot; })->Collect());
  EXPECT_THAT(page, HasSubstr("lockstep_jobs{state=\"queued\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_jobs{state=\"recovering\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_jobs 3\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_workers{state=\"ready\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_devices 4\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_steps_total 1000\n"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

TEST(RpcMetrics, CallsAreCountedByMethodAndCode) {
  prometheus::Registry registry;
  RpcMetrics metrics(&registry);
  metrics.Record("lockstep.v1.Jobs/GetJob", absl::StatusCode::kOk, absl::Milliseconds(2));
  metrics.Record("lockstep.v1.Jobs/GetJob", absl::StatusCode::kOk, absl::Milliseconds(2));
  metrics.Record("lockstep.v1.Jobs/GetJob", absl::StatusCode::kNotFound, absl::Milliseconds(2));
  const std::string page = Page(registry.Collect());
  EXPECT_THAT(page, HasSubstr("lockstep_rpcs_total{code=\"OK\",method=\"lockstep.v1.Jobs/GetJob\"} 2\n"));
  EXPECT_THAT(page,
              HasSubstr("lockstep_rpcs_total{code=\"NOT_FOUND\",method=\"lockstep.v1.Jobs/GetJob\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_rpc_duration_seconds_bucket{code=\"OK\",method=\"lockstep.v1.Jobs/"
                              "GetJob\",le=\"0.001\"} 0\n"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

}  // namespace
}  // namespace lockstep
