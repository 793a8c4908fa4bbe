// Steps that are replayed from captured graphs, beside the same steps launched one kernel at a time.
#include <algorithm>
#include <string>
#include <vector>

#include "common/spec/spec.h"
#include "worker/engine/device/device_rank_for_test.h"
#include "worker/engine/device/step_graphs.h"

namespace lockstep::engine::device_graphs_test {
namespace {

class DeviceGraphs : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = kernels::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
};

TestJob JobOf(const std::string& dataset, const std::string& model, int features, int outputs,
              v1::Task task) {
  auto spec = ParseSpec("dataset: " + dataset + "\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  const absl::Status status = CompleteSpec(&*spec);
  EXPECT_TRUE(status.ok()) << status;
  return TestJob(spec->model(), features, outputs, 5, 2, task);
}

// Another batch in each step; every fourth is short, as an epoch's last one.
TestJob BatchOf(const TestJob& first, int step) {
  TestJob job = first;
  std::ranges::rotate(job.x, job.x.begin() + step);
  std::ranges::rotate(job.targets, job.targets.begin() + step);
  std::ranges::rotate(job.classes, job.classes.begin() + step);
  if (job.model->reads_tokens() && step % 2 == 0) {  // fewer different ones than in the next
    for (float& token : job.x) token = std::bit_cast<float>(std::bit_cast<int32_t>(token) / 4);
  }
  for (int s = 0; s < job.shards; ++s) job.real_rows[s] = step % 4 == 0 ? s % 2 : job.rows_per_shard;
  return job;
}

// Their sums in each of eight steps.
std::vector<std::vector<float>> Sums(const TestJob& first, bool graphs, int64_t part_floats,
                                     size_t* captured) {
  const ShardRange range = ShardsOfRank(first.shards, 2, 1);
  ExecutorOptions options;
  options.logical_shards = first.shards;
  options.shards = range;
  options.rows_per_shard = first.rows_per_shard;
  options.graphs = graphs;
  options.part_floats = part_floats;
  DeviceRank rank(first.model, first.spec, options);
  std::vector<std::vector<float>> sums;
  for (int step = 1; step <= 8; ++step) {
    const TestJob job = BatchOf(first, step);
    FillRank(job, range, rank);
    const PartReady ready = [](size_t, size_t) { return absl::OkStatus(); };
    sums.push_back(rank.Gradient(step, job.batch_rows(), part_floats == kPartFloats ? nullptr : ready));
  }
  *captured = rank.executor().graphs();
  return sums;
}

TEST_F(DeviceGraphs, ReplayedStepDiffersFromOneThatIsLaunched) {
  const std::string images = "{ path: a.idx }", text = "{ path: a.txt, text: { sequence_length: 4 } }";
  const TestJob jobs[] = {
      TestJob(TestJob::Options{"relu", 20, 10, {32, 17}, 0.3, 5, 4}),
      TestJob(TestJob::Options{"autoencoder", 8, 8, {6, 3}, 0.2}),
      TestJob(TestJob::Options{"svm", 6, 4}),
      JobOf(images, "{ resnet: { input_shape: [8, 8, 1], depth: 8, width: 2 } }", 64, 3,
            v1::TASK_CLASSIFICATION),
      JobOf(text, "{ gpt: { layers: 1, heads: 2, width: 8, context: 6, dropout: 0.2, tie_weights: false } }",
            4, 11, v1::TASK_LANGUAGE_MODEL),
      JobOf(text, "{ gpt: { layers: 1, heads: 2, width: 8, context: 6, dropout: 0.2 } }", 4, 11,
            v1::TASK_LANGUAGE_MODEL),
      JobOf(images,
            "{ graph: { input_shape: [5, 4], layers: [{name: a, lstm: {hidden: 5}}, {name: b, last: {}}, "
            "{name: out, linear: {}}] } }",
            20, 3, v1::TASK_CLASSIFICATION)};
  for (const TestJob& job : jobs) {
    const std::string name = job.model->Layers().front().name + ", " + std::to_string(job.model->flat_size());
    size_t none = 0, whole = 0, in_parts = 0;
    const auto launched = Sums(job, false, kPartFloats, &none);
    EXPECT_EQ(Sums(job, true, kPartFloats, &whole), launched) << name;
    EXPECT_EQ(Sums(job, true, 1, &in_parts), launched) << name;
    EXPECT_EQ(none, 0u);
    EXPECT_EQ(whole, 2u) << name << ": one of a whole batch, one of a short one";
    EXPECT_GE(in_parts, whole) << name;
    EXPECT_NE(launched[0], launched[1]);
  }
}

class StepGraphsTest : public DeviceGraphs {
 protected:
  void SetUp() override {
    DeviceGraphs::SetUp();
    if (IsSkipped()) return;
    stream_ = *kernels::DeviceStream::Make(0);
  }
  absl::Status Step(int batch_rows, const absl::Status& of_second = absl::OkStatus()) {
    return graphs_.Run(
        {nullptr, batch_rows, {batch_rows}, 2},
        [&](size_t) {
          return ++queued_ == full_at_ ? absl::ResourceExhaustedError("the device is full")
                                       : absl::OkStatus();
        },
        [&](size_t number) { return number == 1 ? of_second : absl::OkStatus(); });
  }

  kernels::DeviceStream stream_;
  StepGraphs graphs_{stream_, true};
  int queued_ = 0, full_at_ = 0;
};

TEST_F(StepGraphsTest, ShapesAreCapturedTooEarlyTwiceOrWithoutEnd) {
  for (int rows = 1; rows <= 6; ++rows) {
    for (int step = 0; step < 3; ++step) ASSERT_TRUE(Step(rows).ok());
    const bool kept = rows <= static_cast<int>(StepGraphs::kMostShapes);
    EXPECT_EQ(queued_, kept ? 4 : 6) << rows;  // two stretches each
    queued_ = 0;
  }
  EXPECT_EQ(graphs_.captured(), 2 * StepGraphs::kMostShapes);
}

TEST_F(StepGraphsTest, StepAfterABrokenOneIsCapturedAgainOrNotAtAll) {
  ASSERT_TRUE(Step(1).ok());
  EXPECT_EQ(Step(1, absl::UnavailableError("a peer died")).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(Step(1).ok());
  EXPECT_EQ(queued_, 4);
  EXPECT_EQ(graphs_.captured(), 2u);
}

TEST_F(StepGraphsTest, FullDeviceEndsAJobThatNeedsNoGraphs) {
  full_at_ = 4;  // the second stretch of the second step
  for (int step = 1; step <= 3; ++step) {
    const absl::Status status = Step(1);
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(queued_, 2 + 3 + 2);
  EXPECT_EQ(graphs_.captured(), 0u);
}

}  // namespace
}  // namespace lockstep::engine::device_graphs_test
