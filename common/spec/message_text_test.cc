#include "common/spec/message_text.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {
namespace {

v1::Job SampleJob() {
  v1::Job job;
  job.set_id("j1");
  job.set_state(v1::JOB_STATE_RUNNING);
  job.mutable_submitted_at()->set_seconds(1700000000);
  job.mutable_progress()->mutable_remaining()->set_seconds(90);
  (*job.mutable_metrics())["test/loss"] = 0.25;
  (*job.mutable_metrics())["test/accuracy"] = 0.5;
  job.add_members()->set_worker("yes");
  return job;
}

TEST(MessageToJson, IsWhatPeopleExpectOfEnumsTimesAndNumbers) {
  EXPECT_EQ(MessageToJson(SampleJob()), R"({
  "id": "j1",
  "state": "running",
  "submitted_at": "2023-11-14T22:13:20.000Z",
  "generation": 0,
  "members": [
    {
      "rank": 0,
      "worker": "yes"
    }
  ],
  "progress": {
    "step": 0,
    "total_steps": 0,
    "epoch": 0.0,
    "total_epochs": 0,
    "samples_per_second": 0.0,
    "train_loss": 0.0,
    "remaining": "1m30s"
  },
  "metrics": {
    "test/accuracy": 0.5,
    "test/loss": 0.25
  },
  "pause_requested": false,
  "cancel_requested": false,
  "workers_wanted": 0,
  "regrouping": false,
  "model_bytes": 0
}
)");
}

TEST(MessageToYaml, QuotesWhatWouldNotReadBackAsText) {
  EXPECT_EQ(MessageToYaml(SampleJob()), R"(id: j1
state: running
submitted_at: "2023-11-14T22:13:20.000Z"
generation: 0
members:
  - rank: 0
    worker: "yes"
progress:
  step: 0
  total_steps: 0
  epoch: 0.0
  total_epochs: 0
  samples_per_second: 0.0
  train_loss: 0.0
  remaining: "1m30s"
metrics:
  test/accuracy: 0.5
  test/loss: 0.25
pause_requested: false
cancel_requested: false
workers_wanted: 0
regrouping: false
model_bytes: 0
)");
}

TEST(MessageToJson, NonFiniteNumbersAndBrokenUtf8StayValidJson) {
  v1::LogLine line;
  line.set_text("\xff");
  EXPECT_THAT(MessageToJson(line), ::testing::HasSubstr("\xef\xbf\xbd"));
  v1::JobProgress progress;
  progress.set_train_loss(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(MessageToJson(progress), ::testing::HasSubstr("\"train_loss\": null"));
}

TEST(MessageToYaml, AnEmptyListIsAnEmptyMapping) {
  EXPECT_EQ(MessageToYaml(v1::StreamLogsResponse()), "{}\n");
}

}  // namespace
}  // namespace lockstep
