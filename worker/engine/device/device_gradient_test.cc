// Gradients of whole models on a device: against the CPU's, and bit for bit between partitions and repeats.
#include <cmath>
#include <cstring>
#include <utility>

#include "common/spec/spec.h"
#include "worker/engine/device/device_rank_for_test.h"

namespace lockstep::engine::device_gradient_test {
namespace {

// Of a name, so that a failure says which.
struct Case {
  std::string name;
  TestJob job;
  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

Case Known(const TestJob::Options& options) { return {options.kind, TestJob(options)}; }

Case Of(const std::string& name, const std::string& model, int features, int outputs) {
  auto spec = ParseSpec("dataset: { path: a.idx }\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  const absl::Status status = CompleteSpec(&*spec);
  EXPECT_TRUE(status.ok()) << status;
  return {name, TestJob(spec->model(), features, outputs, 5, 3)};
}

Case OfText(const std::string& name, const std::string& model, int steps, int vocabulary) {
  auto spec = ParseSpec("dataset: { path: a.txt, text: { sequence_length: 4 } }\nmodel: " + model, "job.yaml",
                        "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  const absl::Status status = CompleteSpec(&*spec);
  EXPECT_TRUE(status.ok()) << status;
  return {name, TestJob(spec->model(), steps, vocabulary, 5, 2, v1::TASK_LANGUAGE_MODEL)};
}

std::vector<Case> Cases() {
  return {
      Known({"linear", 7, 2}),
      Known({"softmax", 9, 5}),
      Known({"smoothed", 9, 5}),
      Known({"svm", 6, 4}),
      Known({"autoencoder", 8, 8, {6, 3}, 0.2}),
      Known({"relu", 20, 10, {32, 17}, 0.1, 5, 4}),
      Known({"gelu", 12, 3, {70}}),
      Known({"tanh", 5, 3, {8}, 0.5, 7, 2}),
      Known({"sigmoid", 5, 2, {9}, 0, 8, 3, true}),
      Of("cnn",
         "{ cnn: { input_shape: [7, 6, 2], layers: [{conv: {channels: 6, kernel: 2, activation: gelu}}, "
         "{conv: "
         "{channels: 8, padding: 1, groups: 2, activation: relu}}, {max_pool: {}}, {conv: {channels: 4, "
         "stride: 2, padding: 1, bias: false}}, {activation: tanh}, {dropout: {probability: 0.3}}, {linear: "
         "{width: 7}}] } }",
         84, 4),
      Of("attention",
         "{ graph: { input_shape: [5, 8], layers: [{name: qkv, linear: {width: 24}}, {name: a, attention: "
         "{heads: 2, projections: false}}, {name: sum, inputs: [input, a], add: {}}, {name: ln, layer_norm: "
         "{}}, {name: up, linear: {width: 12, activation: silu}}, {name: down, linear: {width: 8}}, {name: "
         "two, inputs: [sum, down], add: {}}, {name: rms, rms_norm: {}}, {name: mean, global_average_pool: "
         "{}}, {name: out, linear: {}}] } }",
         40, 3),
      OfText("gpt", "{ gpt: { layers: 1, heads: 2, width: 8, context: 7 } }", 5, 11),
      OfText(
          "untied_gpt",
          "{ gpt: { layers: 1, heads: 2, width: 6, context: 5, bias: false, tie_weights: false, dropout: 0.2 "
          "} }",
          5, 9),
      OfText("llama",
             "{ llama: { layers: 1, heads: 4, key_value_heads: 2, width: 8, hidden: 9, context: 6 } }", 6,
             13),
      Of("batch_norm",
         "{ graph: { input_shape: [4, 4, 2], layers: [{name: a, conv: {channels: 5, padding: 1}}, {name: b, "
         "batch_norm: {}}, {name: c, activation: relu}, {name: d, conv: {channels: 5, padding: 1}}, {name: "
         "e, "
         "batch_norm: {}}, {name: f, inputs: [e, c], add: {}}, {name: g, global_average_pool: {}}, {name: "
         "out, "
         "linear: {}}] } }",
         32, 3),
      Of("resnet", "{ resnet: { depth: 8, width: 2, input_shape: [8, 8, 1] } }", 64, 3),
      Of("lstm",
         "{ graph: { input_shape: [4, 3], layers: [{name: a, lstm: {hidden: 5}}, {name: b, lstm: {hidden: "
         "4}}, "
         "{name: c, last: {}}, {name: out, linear: {}}] } }",
         12, 3),
      Of("gru",
         "{ graph: { input_shape: [4, 3], layers: [{name: a, gru: {hidden: 5}}, {name: b, gru: {hidden: 4}}, "
         "{name: c, inputs: [a, b], concat: {}}, {name: d, last: {}}, {name: out, linear: {}}] } }",
         12, 3),
      Of("sequence",
         "{ graph: { input_shape: [5, 4], layers: [{name: a, linear: {width: 6}}, {name: b, linear: {width: "
         "3, activation: tanh}}, {name: f, inputs: [b], last: {}}, {name: c, inputs: [a, b, a], concat: {}}, "
         "{name: d, inputs: [c, c], concat: {axis: 0}}, {name: e, inputs: [d], last: {}}, {name: g, inputs: "
         "[e, f], concat: {}}, {name: out, linear: {}}] } }",
         20, 3),
      OfText("two_tables",
             "{ graph: { layers: [{name: a, embedding: {width: 4}}, {name: b, inputs: [input], embedding: "
             "{width: 4}}, "
             "{name: c, inputs: [a, b], add: {}}, {name: d, linear: {width: 4, activation: tanh}}, {name: e, "
             "linear: {tied: b}}] } }",
             6, 5)};
}

class DeviceGradient : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (const std::string why = kernels::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
  const TestJob& job() const { return TheCases()[static_cast<size_t>(GetParam())].job; }

 public:
  static const std::vector<Case>& TheCases() {
    static const std::vector<Case> cases = Cases();
    return cases;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, DeviceGradient, testing::Range(0, 20), [](const auto& of) {
  return DeviceGradient::TheCases()[static_cast<size_t>(of.param)].name;
});

// As the collective adds the ranks' node sums.
std::vector<float> Summed(const TestJob& job, int world, Precision precision = Precision::kFp32) {
  std::vector<TreeNode> nodes;
  std::vector<std::vector<float>> sums;
  const int64_t size = job.model->gradient_size();
  for (int rank = 0; rank < world; ++rank) {
    const ShardRange range = ShardsOfRank(job.shards, world, rank);
    const std::vector<TreeNode> mine = MaximalNodes(job.shards, range);
    const std::vector<float> out = MakeDeviceRank(job, range, precision)->Gradient(3, job.batch_rows());
    for (size_t n = 0; n < mine.size(); ++n) {
      nodes.push_back(mine[n]);
      sums.emplace_back(out.begin() + n * size, out.begin() + (n + 1) * size);
    }
  }
  const TreeSchedule schedule = ScheduleFor(Root(job.shards), job.shards, nodes);
  for (const TreeAdd& add : schedule.adds) {
    for (int64_t i = 0; i < size; ++i) sums[add.target][i] += sums[add.source][i];
  }
  return sums[schedule.result];
}

TEST_P(DeviceGradient, DiffersFromTheProcessors) {
  kernels::ExpectClose(Summed(job(), 1), job().WholeGradient(job().weights, 3), 2e-5);
}

TEST_P(DeviceGradient, BitsDependOnTheRanks) {
  const std::vector<float> alone = Summed(job(), 1);
  for (int world = 2; world <= (GetParam() == 10 ? 2 : 3); ++world)
    EXPECT_EQ(Summed(job(), world), alone) << world << " ranks";
}

double RelativeDistance(const std::vector<float>& from, const std::vector<float>& to, int64_t count) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < count; ++i) {
    error += std::pow(double{from[i]} - to[i], 2);
    size += std::pow(double{to[i]}, 2);
  }
  return std::sqrt(error / size);
}

// How far is far: as weights that are rounded move the gradient in float32, which depends on the model (3 %
// of the residual network's); each of the three products of a layer rounds about as much.
TEST_P(DeviceGradient, Bf16IsFarFromFp32OrItsBitsDependOnTheRanks) {
  const std::vector<float> alone = Summed(job(), 1, Precision::kBf16);
  const std::vector<float> exact = job().WholeGradient(job().weights, 3);
  std::vector<float> weights = job().weights;
  for (float& weight : weights) weight = kernels::RoundedToBf16(weight);
  const int64_t size = job().model->flat_size();
  const double moved = RelativeDistance(job().WholeGradient(weights, 3), exact, size);
  const double error = RelativeDistance(alone, exact, size);
  EXPECT_LT(error, 2 * moved + 4e-3);
  EXPECT_GT(error, 0) << "nothing was multiplied in bf16";
  EXPECT_EQ(Summed(job(), 2, Precision::kBf16), alone);
}

TEST_P(DeviceGradient, BitsDependOnTheOrderOfThreads) {
  const auto rank = MakeDeviceRank(job(), {0, job().shards});
  const std::vector<float> first = rank->Gradient(3, job().batch_rows());
  const uint64_t repeats = GetParam() == 5 ? 20 : 1;  // the emulation is slow
  for (uint64_t seed = 1; seed <= repeats; ++seed) {
    kernels::ReorderThreads(seed);
    const std::vector<float> again = rank->Gradient(3, job().batch_rows());
    ASSERT_EQ(0, std::memcmp(first.data(), again.data(), first.size() * sizeof(float))) << "repeat " << seed;
  }
}

// What a part holds when it is said to be ready, in the stream's order, beside what the row holds at the end.
TEST_P(DeviceGradient, PartIsReadyTooEarlyOrForgottenOrCostsBits) {
  const ShardRange some = ShardsOfRank(job().shards, 3, 1);
  const std::vector<float> whole = MakeDeviceRank(job(), some)->Gradient(3, job().batch_rows());
  const auto rank = MakeDeviceRank(job(), some, Precision::kFp32, /*part_floats=*/1);
  std::vector<std::pair<size_t, std::vector<float>>> parts;
  size_t begun = 0;
  const PartReady keep = [&](size_t begin, size_t count) -> absl::Status {
    EXPECT_EQ(begin, begun);
    begun = begin + count;
    for (int node = 0; node < rank->executor().nodes(); ++node) {
      const auto at = static_cast<int64_t>(begin) + node * job().model->gradient_size();
      parts.emplace_back(at, rank->Fetch(rank->executor().node_sums() + at, static_cast<int64_t>(count)));
    }
    return absl::OkStatus();
  };
  EXPECT_EQ(rank->Gradient(3, job().batch_rows(), keep), whole);
  EXPECT_EQ(static_cast<int64_t>(begun), job().model->flat_size());
  for (const auto& [begin, floats] : parts) {
    const auto from = whole.begin() + static_cast<int64_t>(begin);
    EXPECT_EQ(floats, std::vector<float>(from, from + std::ssize(floats))) << "from " << begin;
  }
}

TEST_P(DeviceGradient, SmallModelIsCutOrErrorOfAPartForgotten) {
  const auto whole = MakeDeviceRank(job(), {0, job().shards});
  whole->Gradient(3, job().batch_rows(), [](size_t, size_t) -> absl::Status {
    ADD_FAILURE() << "a part of a row below kPartFloats";
    return absl::OkStatus();
  });
  const auto cut = MakeDeviceRank(job(), {0, job().shards}, Precision::kFp32, /*part_floats=*/1);
  int calls = 0;
  const absl::Status status =
      cut->executor().Gradient(cut->weights(), 3, job().batch_rows(), [&](size_t, size_t) {
        ++calls;
        return absl::UnavailableError("a peer died");
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(calls, 1);
}

TEST_P(DeviceGradient, BatchThatWasBroughtChangesWithItsStaging) {
  const auto rank = MakeDeviceRank(job(), {0, job().shards});
  DeviceExecutor& executor = rank->executor();
  ASSERT_TRUE(executor.Bring(3).ok());
  ASSERT_TRUE(executor.AwaitStaging().ok());
  std::fill_n(executor.features(), executor.capacity() * job().features, 0.0f);
  if (job().model->loss() == v1::LOSS_MEAN_SQUARED_ERROR) {
    std::fill_n(executor.targets(), executor.capacity() * job().outputs, 0.0f);
  } else {
    std::fill_n(executor.classes(), executor.capacity() * job().model->positions(), 0);
  }
  const std::vector<float> brought = rank->Gradient(3, job().batch_rows());
  EXPECT_EQ(brought, Summed(job(), 1));
  // Whoever brings nothing has what was filled in last.
  EXPECT_NE(rank->Gradient(3, job().batch_rows()), brought);
}

// Predictions of tokens are their losses.
void ExpectTheProcessorsTokenLosses(const TestJob& job) {
  const int rows = job.rows() + 2, steps = job.features;  // two passes
  std::vector<int32_t> tokens, classes;
  for (int i = 0; i < rows * steps; ++i) {
    tokens.push_back(i * 5 % job.outputs);
    classes.push_back(i * 3 % job.outputs);
  }
  std::vector<float> expected(tokens.size()), expected_correct(tokens.size()), losses(tokens.size()),
      correct(tokens.size());
  job.MakeRank({0, job.shards})
      ->TokenLosses(job.weights.data(), tokens.data(), classes.data(), rows, expected.data(),
                    expected_correct.data());
  const auto rank = MakeDeviceRank(job, {0, job.shards});
  const absl::Status status = rank->executor().TokenLosses(rank->weights(), tokens.data(), classes.data(),
                                                           rows, losses.data(), correct.data());
  ASSERT_TRUE(status.ok()) << status;
  kernels::ExpectClose(losses, expected, 1e-5);
  EXPECT_EQ(correct, expected_correct);
  EXPECT_EQ(rank->Gradient(3, job.batch_rows()), Summed(job, 1));
}

TEST_P(DeviceGradient, PredictionDiffersFromTheProcessorsOrTakesTheNextBatchAway) {
  if (job().model->reads_tokens()) return ExpectTheProcessorsTokenLosses(job());
  const int rows = job().rows() + 2;  // two passes
  const std::vector<float> x = kernels::Random(int64_t{rows} * job().features, -1, 1, 5);
  std::vector<float> expected(static_cast<size_t>(rows * job().model->outputs())), out(expected.size());
  job().MakeRank({0, job().shards})->Predict(job().weights.data(), x.data(), rows, expected.data());
  const auto rank = MakeDeviceRank(job(), {0, job().shards});
  const absl::Status status = rank->executor().Predict(rank->weights(), x.data(), rows, out.data());
  ASSERT_TRUE(status.ok()) << status;
  kernels::ExpectClose(out, expected, 1e-5);
  EXPECT_EQ(rank->Gradient(3, job().batch_rows()), Summed(job(), 1));
}

}  // namespace
}  // namespace lockstep::engine::device_gradient_test
