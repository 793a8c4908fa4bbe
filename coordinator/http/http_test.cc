#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <stdlib.h>

#include "common/base/folder_for_test.h"
#include "common/base/proto_time.h"
#include "common/metrics/scrape_for_test.h"
#include "coordinator/http/controller_metrics.h"
#include "coordinator/http/fleet_metrics.h"
#include "coordinator/http/job_metrics.h"
#include "coordinator/http/rpc_metrics.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Page(const std::vector<prometheus::MetricFamily>& families) {
  return prometheus::TextSerializer().Serialize(families);
}

TEST(ControllerMetrics, EveryStateIsThereAndNumbersComeFromTheSnapshot) {
  ControllerSnapshot snapshot;
  snapshot.jobs_by_state[v1::JOB_STATE_QUEUED] = 3;
  snapshot.workers_by_state[v1::WORKER_STATE_READY] = 2;
  snapshot.devices_total = 4;
  snapshot.steps_total = 1000;
  snapshot.queue_waits.Add(absl::Milliseconds(50));
  snapshot.queue_waits.Add(absl::Hours(48));
  for (const double compute : {0.01, 0.01, 0.03}) {
    auto& rank = snapshot.ranks.emplace_back();
    rank.job = "a";
    rank.member.mutable_times()->set_compute(compute);
    rank.member.set_rank(static_cast<int>(snapshot.ranks.size()) - 1);
  }
  const std::string page = Page(MakeControllerMetrics([snapshot] { return snapshot; })->Collect());
  EXPECT_THAT(page, HasSubstr("lockstep_jobs{state=\"queued\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_jobs{state=\"recovering\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_jobs 3\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_workers{state=\"ready\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_devices 4\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_steps_total 1000\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_wait_seconds_bucket{le=\"0.01\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_wait_seconds_bucket{le=\"0.1\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_wait_seconds_bucket{le=\"86400\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_queue_wait_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_straggler_ratio{job=\"a\"} 3\n"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

TEST(FleetMetrics, ADeviceTellsWhoHoldsItAndWhetherItIsOutOfService) {
  v1::Worker worker;
  worker.set_name("node-1");
  *worker.mutable_heartbeat_age() = ToProto(absl::Milliseconds(1500));
  for (const char* id : {"cpu:0", "cpu:1"}) {
    v1::DeviceStatus* status = worker.add_devices();
    status->mutable_device()->set_id(id);
    status->mutable_device()->set_uuid(std::string("CPU-") + id);
    status->mutable_device()->mutable_profile()->set_device_kind("cpu");
    status->mutable_device()->mutable_profile()->set_device_model("Zen");
  }
  worker.mutable_devices(0)->set_job_id("1m7");
  worker.mutable_devices(0)->set_rank(3);
  worker.mutable_devices(1)->set_cordoned("new fan");
  const std::string page = Page(MakeFleetMetrics([worker] { return std::vector{worker}; })->Collect());
  EXPECT_THAT(page, HasSubstr("lockstep_heartbeat_age_seconds{worker=\"node-1\"} 1.5\n"));
  EXPECT_THAT(page,
              HasSubstr("{worker=\"node-1\",device=\"cpu:0\",uuid=\"CPU-cpu:0\",kind=\"cpu\",model=\"Zen\","
                        "job=\"1m7\",rank=\"3\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("uuid=\"CPU-cpu:1\",kind=\"cpu\",model=\"Zen\",job=\"\",rank=\"\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_device_cordoned{worker=\"node-1\",device=\"cpu:0\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_device_cordoned{worker=\"node-1\",device=\"cpu:1\"} 1\n"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

StoredJob JobIn(v1::JobState state, const std::string& id) {
  StoredJob stored;
  stored.job.set_id(id);
  stored.job.set_name("digits");
  stored.job.set_state(state);
  stored.job.mutable_progress()->set_step(200);
  stored.job.mutable_progress()->set_train_loss(0.5);
  stored.job.mutable_started_at()->set_seconds(1'000'000);
  stored.job.add_members();
  stored.time.mutable_before()->set_recovery(1.5);
  stored.time.add_devices()->set_compute(2);
  stored.time.add_devices()->set_compute(4);
  stored.time.set_lost_steps(7);
  (*stored.time.mutable_restarts())["worker_lost"] = 2;
  return stored;
}

TEST(JobMetrics, OnlyActiveJobsAreToldWithTheirNewestCheckpoint) {
  const std::string folder = FolderForTest("http");
  auto store = OpenSqliteStore(folder + "/state.db");
  ASSERT_TRUE(store.ok()) << store.status();
  Batch batch;
  batch.jobs = {JobIn(v1::JOB_STATE_RUNNING, "a"), JobIn(v1::JOB_STATE_SUCCEEDED, "b"),
                JobIn(v1::JOB_STATE_QUEUED, "c")};
  for (const int64_t written_at : {1'000'500, 1'000'400}) {
    v1::Checkpoint& checkpoint = batch.checkpoints.emplace_back();
    checkpoint.set_job_id("a");
    checkpoint.set_step(written_at);
    checkpoint.set_path(std::to_string(written_at));
    checkpoint.mutable_written_at()->set_seconds(written_at);
  }
  ASSERT_TRUE((*store)->Commit(batch).ok());
  const std::string page = Page(MakeJobMetrics(store->get())->Collect());
  EXPECT_THAT(page, HasSubstr("lockstep_job_info{job=\"a\",name=\"digits\",state=\"running\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_step{job=\"a\"} 200\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_ranks{job=\"a\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_last_checkpoint_timestamp_seconds{job=\"a\"} 1000500\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_device_seconds_total{job=\"a\",kind=\"compute\"} 6\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_device_seconds_total{job=\"a\",kind=\"recovery\"} 1.5\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_lost_steps_total{job=\"a\"} 7\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_job_restarts_total{job=\"a\",reason=\"worker_lost\"} 2\n"));
  EXPECT_THAT(page, Not(HasSubstr("lockstep_job_validation_loss")));
  EXPECT_THAT(page, Not(HasSubstr("\"b\"")));
  EXPECT_THAT(page, Not(HasSubstr("\"c\"")));
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
