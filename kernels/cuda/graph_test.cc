// Captured graphs (kernels/cuda/runtime.h).
#include <memory>
#include <vector>

#include "kernels/cuda/device_for_test.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/tree_add.h"

namespace lockstep::kernels::cuda_graph_test {
namespace {

class CudaGraph : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    stream_ = *DeviceStream::Make(0);
    pinned_ = *PinnedBlock::Allocate(0, sizeof(float));
    value_ = std::make_unique<OnDevice<float>>(1);
    sum_ = std::make_unique<OnDevice<float>>(std::vector<float>{0});
  }
  // sum += what the host has.
  absl::Status Add() const {
    if (absl::Status status = stream_.ToDevice(value_->get(), pinned_.data(), sizeof(float)); !status.ok()) {
      return status;
    }
    return ToStatus(cuda::TreeAddInto(1, value_->get(), sum_->get(), stream_.get()));
  }
  float Sum() const {
    EXPECT_TRUE(stream_.Wait().ok());
    return sum_->Fetch()[0];
  }

  DeviceStream stream_;
  PinnedBlock pinned_;
  std::unique_ptr<OnDevice<float>> value_, sum_;
};

TEST_F(CudaGraph, CaptureRunsOrReplayReadsOldMemory) {
  float& value = *static_cast<float*>(pinned_.data());
  value = 1;
  ASSERT_TRUE(Add().ok());
  EXPECT_EQ(Sum(), 1);
  const auto graph = DeviceGraph::Capture(stream_, [this] { return Add(); });
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(Sum(), 1) << "it was to be recorded alone";
  float expected = 1;
  for (value = 10; value < 40; value += 10) {
    ASSERT_TRUE(graph->Launch(stream_).ok());
    EXPECT_EQ(Sum(), expected += value);
  }
}

TEST_F(CudaGraph, StreamIsLostToACaptureThatFails) {
  *static_cast<float*>(pinned_.data()) = 1;
  ASSERT_TRUE(Add().ok());
  const auto refused = DeviceGraph::Capture(stream_, [this]() -> absl::Status {
    if (absl::Status status = Add(); !status.ok()) return status;
    return absl::AbortedError("as the test has it");
  });
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted) << refused.status();
  const auto waited = DeviceGraph::Capture(stream_, [this] { return stream_.Wait(); });
  EXPECT_EQ(waited.status().code(), absl::StatusCode::kInternal) << waited.status();
  ASSERT_TRUE(Add().ok());
  EXPECT_EQ(Sum(), 2);
}

}  // namespace
}  // namespace lockstep::kernels::cuda_graph_test
