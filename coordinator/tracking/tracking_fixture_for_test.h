// A store with jobs and points, for the tests of followers and sinks.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <memory>
#include <string>

#include "common/base/folder_for_test.h"
#include "common/base/proto_time.h"
#include "coordinator/store/point_log.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {

class TrackingFixture : public testing::Test {
 protected:
  TrackingFixture() {
    folder_ = FolderForTest("tracking");
    auto store = OpenSqliteStore(path());
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  std::string path() const { return folder_ + "/state.db"; }
  std::unique_ptr<PointLog> OpenLog(const std::string& sink) {
    auto log = PointLog::Open(path(), {sink});
    EXPECT_TRUE(log.ok()) << log.status();
    return std::move(*log);
  }
  v1::Job SetJob(const std::string& id, v1::JobState state = v1::JOB_STATE_RUNNING) {
    Batch batch;
    v1::Job& job = batch.jobs.emplace_back().job;
    job.set_id(id);
    job.set_name("name");
    job.set_state(state);
    *job.mutable_submitted_at() = ToProto(absl::FromUnixSeconds(1'800'000'000));
    if (state == v1::JOB_STATE_SUCCEEDED) {
      *job.mutable_finished_at() = ToProto(absl::FromUnixSeconds(1'800'000'100));
      (*job.mutable_metrics())["test/loss"] = 0.5;
      (*job.mutable_metrics())["validation/loss"] = 0.4;  // of the kept weights: its step had one
    }
    EXPECT_TRUE(store_->Commit(batch).ok());
    return job;
  }
  void AddPoint(const std::string& job, int64_t step, double loss = 1) {
    Batch batch;
    StoredPoint& point = batch.points.emplace_back();
    point.job_id = job;
    point.point.set_step(step);
    (*point.point.mutable_values())["train/loss"] = loss;
    EXPECT_TRUE(store_->Commit(batch).ok());
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
};

}  // namespace lockstep
