#include <filesystem>
#include <fstream>

#include "coordinator/tracking/event_file.h"
#include "coordinator/tracking/tensorboard_sink.h"
#include "coordinator/tracking/tracking_fixture_for_test.h"

namespace lockstep::tensorboard_test {
namespace {

class TensorboardTest : public TrackingFixture {
 protected:
  TensorboardTest() : sink_(std::move(*TensorboardSink::Open(folder_ + "/board"))), job_(SetJob("a")) {}

  static PointChange Change(int64_t position, int64_t step) {
    PointChange change{position, "a", absl::FromUnixSeconds(1'800'000'000 + step), {}};
    change.point.set_step(step);
    (*change.point.mutable_values())["train/loss"] = 1.0 / static_cast<double>(step);
    return change;
  }
  std::string file() const { return folder_ + "/board/name-a/events.out.tfevents.1800000000.lockstep"; }
  std::string Bytes() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const std::unique_ptr<TensorboardSink> sink_;
  const v1::Job job_;
};

TEST_F(TensorboardTest, WhatACrashLeftBehindThePositionIsWrittenAgainToTheSameBytes) {
  TrackedJob tracked;
  ASSERT_TRUE(sink_->Write(job_, {Change(1, 1)}, &tracked).ok());
  const TrackedJob durable = tracked;
  ASSERT_TRUE(sink_->Write(job_, {Change(2, 2), Change(3, 3)}, &tracked).ok());
  const std::string whole = Bytes();
  // The positions of the second write were never stored, and it may have been cut anywhere.
  for (size_t left = std::stoul(durable.state); left <= whole.size(); ++left) {
    std::filesystem::resize_file(file(), left);
    TrackedJob again = durable;
    ASSERT_TRUE(sink_->Write(job_, {Change(2, 2), Change(3, 3)}, &again).ok());
    ASSERT_EQ(Bytes(), whole) << left;
    ASSERT_EQ(again.state, tracked.state);
  }
}

TEST_F(TensorboardTest, AFolderThatSomebodyClearedBeginsAnewWithAHeader) {
  TrackedJob tracked;
  ASSERT_TRUE(sink_->Write(job_, {Change(1, 1)}, &tracked).ok());
  const std::string first = Bytes();
  std::filesystem::remove_all(folder_ + "/board");
  ASSERT_TRUE(sink_->Write(job_, {Change(2, 2)}, &tracked).ok());
  EXPECT_EQ(Bytes().substr(0, 40), first.substr(0, 40));
}

TEST_F(TensorboardTest, FinalMetricsStandAtTheLastStep) {
  TrackedJob tracked;
  ASSERT_TRUE(sink_->Write(job_, {Change(1, 1)}, &tracked).ok());
  const v1::Job done = SetJob("a", v1::JOB_STATE_SUCCEEDED);
  ASSERT_TRUE(sink_->End(done, &tracked).ok());
  const std::string record =
      TfRecord(ScalarsEvent(absl::FromUnixSeconds(1'800'000'100), 0, FinalPoint(done).values()));
  EXPECT_TRUE(Bytes().ends_with(record));
  EXPECT_EQ(Bytes().find("validation/loss"), std::string::npos);
}

TEST_F(TensorboardTest, AFileThatCannotBeWrittenIsToBeTriedAgain) {
  std::ofstream(folder_ + "/board/name-a") << "in the way";
  TrackedJob tracked;
  const absl::Status status = sink_->Write(job_, {Change(1, 1)}, &tracked);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(tracked.state, "");
}

}  // namespace
}  // namespace lockstep::tensorboard_test
