// Gradients of whole models: against finite differences of a float64 reference, and bit for bit between
// partitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/numerics/philox.h"
#include "kernels/dropout.h"
#include "worker/engine/engine.h"
#include "worker/models/test_job.h"

namespace lockstep::engine {
namespace {

// The mean loss of the job's batch in float64. Parameters are found by name.
class Reference {
 public:
  explicit Reference(const TestJob& job) : job_(job) {
    for (const Parameter& parameter : job.model->parameters()) {
      if (parameter.shape.size() == 2) layers_.push_back(parameter.name.substr(0, parameter.name.rfind('.')));
    }
  }

  double Loss(const std::vector<double>& weights, int64_t step) const {
    double sum = 0;
    for (int r = 0; r < job_.rows(); ++r) {
      if (job_.IsReal(r)) sum += RowLoss(weights, r, step);
    }
    return sum / job_.batch_rows();
  }

  std::vector<double> Forward(const std::vector<double>& weights, const float* row, int global_row,
                              int64_t step) const {
    std::vector<double> x(row, row + job_.features);
    int node = 0;
    const int layers = static_cast<int>(layers_.size());
    const bool autoencoder = job_.spec.model().has_autoencoder();
    for (int layer = 0; layer < layers; ++layer, ++node) {
      const Parameter& weight = job_.Find(layers_[layer] + ".weight");
      const Parameter& bias = job_.Find(layers_[layer] + ".bias");
      const bool code = autoencoder && 2 * layer + 2 == layers;
      const bool active = layer + 1 < layers && !code;
      const int64_t outputs = weight.shape[0], inputs = weight.shape[1];
      std::vector<double> y(outputs);
      for (int64_t o = 0; o < outputs; ++o) {
        y[o] = weights[bias.offset + o];
        for (int64_t i = 0; i < inputs; ++i) y[o] += weights[weight.offset + o * inputs + i] * x[i];
        if (active) y[o] = Activate(y[o]);
      }
      const double p =
          autoencoder ? job_.spec.model().autoencoder().dropout() : job_.spec.model().mlp().dropout();
      if (active && p > 0 && (!autoencoder || 2 * layer < layers)) {
        ++node;
        if (step > 0) Drop(p, node, global_row, step, &y);
      }
      x = y;
    }
    return x;
  }

 private:
  double Activate(double z) const {
    switch (job_.spec.model().has_autoencoder() ? job_.spec.model().autoencoder().activation()
                                                : job_.spec.model().mlp().activation()) {
      case v1::ACTIVATION_TANH:
        return std::tanh(z);
      case v1::ACTIVATION_SIGMOID:
        return 1 / (1 + std::exp(-z));
      case v1::ACTIVATION_GELU:
        return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
      default:
        return z > 0 ? z : 0;
    }
  }

  void Drop(double p, int node, int row, int64_t step, std::vector<double>* y) const {
    kernels::DropoutKey key;
    key.layer = static_cast<uint32_t>(node);
    key.step = step;
    for (size_t c = 0; c < y->size(); ++c) {
      const PhiloxBlock block =
          Philox(job_.seed, key.CounterHigh(), (uint64_t(row) << 32) | (c / 64 * 16 + c % 16));
      (*y)[c] *= block.value[c % 64 / 16] >= kernels::DropoutThreshold(p) ? 1 / (1 - p) : 0;
    }
  }

  double RowLoss(const std::vector<double>& weights, int r, int64_t step) const {
    const std::vector<double> y = Forward(weights, job_.x.data() + r * job_.features, r, step);
    if (job_.task != v1::TASK_CLASSIFICATION) {
      double loss = 0;
      for (int o = 0; o < job_.outputs; ++o) {
        const double difference = y[o] - job_.targets[r * job_.outputs + o];
        loss += difference * difference / job_.outputs;
      }
      return loss;
    }
    const size_t label = static_cast<size_t>(job_.classes[r]);
    double sum = 0, all = 0;
    if (job_.spec.model().has_svm()) {
      for (size_t c = 0; c < y.size(); ++c) sum += c == label ? 0 : std::max(0.0, 1 + y[c] - y[label]);
      return sum;
    }
    for (double value : y) {
      sum += std::exp(value);
      all += value;
    }
    const double smoothing = job_.spec.train().label_smoothing();
    return std::log(sum) - (1 - smoothing) * y[label] - smoothing * all / static_cast<double>(y.size());
  }

  const TestJob& job_;
  std::vector<std::string> layers_;
};

class GradientTest : public testing::TestWithParam<TestJob::Options> {};
INSTANTIATE_TEST_SUITE_P(
    Models, GradientTest,
    testing::Values(
        TestJob::Options{.kind = "linear", .features = 5, .outputs = 1},
        TestJob::Options{.kind = "linear", .features = 17, .outputs = 3},
        TestJob::Options{.kind = "softmax", .features = 7, .outputs = 3},
        TestJob::Options{.kind = "smoothed", .features = 7, .outputs = 3},
        TestJob::Options{.kind = "svm", .features = 7, .outputs = 4},
        TestJob::Options{
            .kind = "autoencoder", .features = 6, .outputs = 6, .hidden = {9, 4, 2}, .dropout = 0.2},
        TestJob::Options{.kind = "relu", .features = 5, .outputs = 4, .hidden = {7}},
        TestJob::Options{.kind = "relu", .features = 9, .outputs = 4, .hidden = {19, 6}, .dropout = 0.3},
        TestJob::Options{.kind = "tanh", .features = 5, .outputs = 2, .hidden = {7, 3}, .dropout = 0.2},
        TestJob::Options{.kind = "sigmoid", .features = 3, .outputs = 2, .hidden = {9, 17}},
        TestJob::Options{.kind = "gelu", .features = 5, .outputs = 3, .hidden = {21, 5}, .dropout = 0.1},
        TestJob::Options{
            .kind = "gelu", .features = 5, .outputs = 1, .hidden = {8}, .shards = 5, .regression = true}));

TEST_P(GradientTest, DiffersFromFiniteDifferencesOfFloat64) {
  const TestJob job(GetParam());
  const Reference reference(job);
  const int64_t step = 3;
  const std::vector<float> sum = job.WholeGradient(job.weights, step);
  std::vector<double> weights(job.weights.begin(), job.weights.end());
  EXPECT_NEAR(sum[job.model->flat_size() + kLossSum] / job.batch_rows(), reference.Loss(weights, step), 2e-6);
  for (const Parameter& parameter : job.model->parameters()) {
    for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
      const double kept = weights[i], h = 1e-6;
      weights[i] = kept + h;
      const double above = reference.Loss(weights, step);
      weights[i] = kept - h;
      const double below = reference.Loss(weights, step);
      weights[i] = kept;
      EXPECT_NEAR(sum[i], (above - below) / (2 * h), 3e-6)
          << parameter.name << "[" << i - parameter.offset << "]";
    }
  }
}

TEST_P(GradientTest, BitsDependOnThePartition) {
  const TestJob job(GetParam());
  const std::vector<float> expected = job.WholeGradient(job.weights, 5);
  for (int world = 2; world <= std::min(job.shards, 5); ++world) {
    const std::vector<float> sum = job.PartitionedGradient(job.weights, 5, world);
    EXPECT_EQ(std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)), 0) << world << " ranks";
  }
}

TEST_P(GradientTest, GapsAndUnusedStatsAreNotZero) {
  const TestJob job(GetParam());
  std::vector<float> sum = job.WholeGradient(job.weights, 1);
  for (const Parameter& parameter : job.model->parameters()) {
    std::fill_n(sum.begin() + parameter.offset, parameter.size, 0.0f);
  }
  sum[job.model->flat_size() + kLossSum] = sum[job.model->flat_size() + kCorrect] = 0;
  EXPECT_EQ(sum, std::vector<float>(sum.size(), 0.0f));
}

TEST_P(GradientTest, PredictDiffersFromFloat64OrDependsOnNeighbours) {
  const TestJob job(GetParam());
  const Reference reference(job);
  const std::unique_ptr<Executor> executor = job.MakeRank({0, job.shards});
  const int rows = job.rows() * 2 + 3;  // several chunks, the last one not full
  std::vector<float> x(rows * job.features), out(rows * job.outputs);
  for (size_t i = 0; i < x.size(); ++i) x[i] = job.x[i % job.x.size()] * (1.0f + static_cast<float>(i % 7));
  executor->Predict(job.weights.data(), x.data(), rows, out.data());
  const std::vector<double> weights(job.weights.begin(), job.weights.end());
  for (int r = 0; r < rows; ++r) {
    const std::vector<double> y = reference.Forward(weights, x.data() + r * job.features, 0, 0);
    for (int o = 0; o < job.outputs; ++o) EXPECT_NEAR(out[r * job.outputs + o], y[o], 1e-5);
  }
  // Another rank size, another position in the batch.
  const std::unique_ptr<Executor> small = job.MakeRank({1, 2});
  std::vector<float> alone(job.outputs);
  for (int r = 0; r < rows; ++r) {
    small->Predict(job.weights.data(), x.data() + r * job.features, 1, alone.data());
    EXPECT_EQ(std::memcmp(alone.data(), out.data() + r * job.outputs, alone.size() * sizeof(float)), 0) << r;
  }
}

TEST(Gradient, PredictDestroysTheBatchThatWaits) {
  const TestJob job({.kind = "relu", .features = 5, .outputs = 4, .hidden = {7}});
  const std::unique_ptr<Executor> executor = job.MakeRank({0, job.shards});
  const std::vector<float> before(executor->features(), executor->features() + job.rows() * job.features);
  std::vector<float> x(3 * 5, 9.0f), out(3 * 4);
  executor->Predict(job.weights.data(), x.data(), 3, out.data());
  EXPECT_EQ(std::vector<float>(executor->features(), executor->features() + before.size()), before);
}

TEST(Gradient, DigitsBitsDependOnThePartition) {
  const TestJob job({.kind = "relu",
                     .features = 64,
                     .outputs = 10,
                     .hidden = {128, 64},
                     .dropout = 0.1,
                     .rows_per_shard = 8});
  const std::vector<float> expected = job.WholeGradient(job.weights, 9);
  for (int world = 2; world <= 8; ++world) {
    const std::vector<float> sum = job.PartitionedGradient(job.weights, 9, world);
    EXPECT_EQ(std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)), 0) << world << " ranks";
  }
}

TEST(Gradient, DropoutIsTheSameInEveryStep) {
  const TestJob job({.kind = "relu", .features = 9, .outputs = 4, .hidden = {19}, .dropout = 0.5});
  EXPECT_EQ(job.WholeGradient(job.weights, 1), job.WholeGradient(job.weights, 1));
  EXPECT_NE(job.WholeGradient(job.weights, 1), job.WholeGradient(job.weights, 2));
}

TEST(Gradient, NanFeatureOfAnIgnoredRowLeaks) {
  TestJob job({.kind = "tanh", .features = 5, .outputs = 4, .hidden = {7}, .dropout = 0.5});
  const std::vector<float> expected = job.WholeGradient(job.weights, 1);
  for (int r = 0; r < job.rows(); ++r) {
    if (job.IsReal(r)) continue;
    std::fill_n(job.x.begin() + r * 5, 5, std::numeric_limits<float>::quiet_NaN());
    job.classes[r] = -1000000;
  }
  EXPECT_EQ(job.WholeGradient(job.weights, 1), expected);
}

TEST(Gradient, NanFeatureIsSwallowed) {
  TestJob job({.kind = "relu", .features = 5, .outputs = 4, .hidden = {7}});
  job.x[3] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> sum = job.WholeGradient(job.weights, 1), weights = job.weights;
  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(job.spec.train(), *job.model);
  EXPECT_FALSE(std::isfinite(optimizer->Apply(sum.data(), weights.data(), 1, 0.1)));
  EXPECT_EQ(weights, job.weights);
}

}  // namespace
}  // namespace lockstep::engine
