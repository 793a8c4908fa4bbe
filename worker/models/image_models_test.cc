// Small cnn and resnet models: gradients against finite differences of a float64 reference, bits for any
// division of the work, statistics, prediction, and errors that name the layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "common/spec/spec.h"
#include "worker/engine/team.h"
#include "worker/models/test_job.h"

namespace lockstep::engine::image_models_test {
namespace {

using ::testing::HasSubstr;

v1::ModelSpec Spec(const std::string& model) {
  auto spec = ParseSpec("dataset: { path: a.idx }\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  const absl::Status status = CompleteSpec(&*spec);
  EXPECT_TRUE(status.ok()) << status;
  return spec->model();
}

// The rows of one shard as images in float64, and the layers that both models are made of.
class Images {
 public:
  Images(const TestJob& job, const std::vector<double>& weights) : job_(job), weights_(weights) {}

  struct Batch {
    int64_t rows = 0, height = 0, width = 0, channels = 0;
    std::vector<double> values;
    double& At(int64_t n, int64_t h, int64_t w, int64_t c) {
      return values[((n * height + h) * width + w) * channels + c];
    }
  };
  const double* Weight(const std::string& name) const { return weights_.data() + job_.Find(name).offset; }

  Batch Make(int64_t rows, int64_t height, int64_t width, int64_t channels) const {
    return {rows, height, width, channels, std::vector<double>(rows * height * width * channels)};
  }
  Batch Convolve(Batch x, const std::string& name, int64_t stride, int64_t padding, int64_t groups,
                 bool bias) const {
    const std::vector<int64_t>& shape = job_.Find(name + ".weight").shape;
    const int64_t kernel = shape[2], inputs = shape[1];
    const double* weight = Weight(name + ".weight");
    const double* offset = bias ? Weight(name + ".bias") : nullptr;
    Batch y = Make(x.rows, (x.height + 2 * padding - kernel) / stride + 1,
                   (x.width + 2 * padding - kernel) / stride + 1, shape[0]);
    for (int64_t n = 0; n < y.rows; ++n) {
      for (int64_t r = 0; r < y.height; ++r) {
        for (int64_t c = 0; c < y.width; ++c) {
          for (int64_t o = 0; o < y.channels; ++o) {
            double sum = offset == nullptr ? 0 : offset[o];
            for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
              const int64_t h = r * stride + tap / kernel - padding, w = c * stride + tap % kernel - padding;
              if (h < 0 || h >= x.height || w < 0 || w >= x.width) continue;
              const int64_t first = o / (y.channels / groups) * inputs;
              for (int64_t i = 0; i < inputs; ++i) {
                sum += x.At(n, h, w, first + i) * weight[(o * inputs + i) * kernel * kernel + tap];
              }
            }
            y.At(n, r, c, o) = sum;
          }
        }
      }
    }
    return y;
  }
  Batch Norm(Batch x, const std::string& name, bool relu, const Batch* residual = nullptr) const {
    const int64_t pixels = x.rows * x.height * x.width;
    const double *gamma = Weight(name + ".weight"), *beta = Weight(name + ".bias");
    for (int64_t c = 0; c < x.channels; ++c) {
      double mean = 0, variance = 0;
      for (int64_t p = 0; p < pixels; ++p) mean += x.values[p * x.channels + c] / double(pixels);
      for (int64_t p = 0; p < pixels; ++p)
        variance += std::pow(x.values[p * x.channels + c] - mean, 2) / double(pixels);
      for (int64_t i = c; i < pixels * x.channels; i += x.channels) {
        double& value = x.values[i];
        value = (value - mean) / std::sqrt(variance + 1e-5) * gamma[c] + beta[c];
        if (residual != nullptr) value += residual->values[i];
        if (relu && value < 0) value = 0;
      }
    }
    return x;
  }
  static Batch Map(Batch x, const std::function<double(double)>& f) {
    for (double& value : x.values) value = f(value);
    return x;
  }
  Batch MaxPool(Batch x) const {
    Batch y = Make(x.rows, x.height / 2, x.width / 2, x.channels);
    for (int64_t n = 0; n < y.rows; ++n) {
      for (int64_t r = 0; r < y.height; ++r) {
        for (int64_t c = 0; c < y.width; ++c) {
          for (int64_t k = 0; k < y.channels; ++k) {
            y.At(n, r, c, k) =
                std::max(std::max(x.At(n, 2 * r, 2 * c, k), x.At(n, 2 * r, 2 * c + 1, k)),
                         std::max(x.At(n, 2 * r + 1, 2 * c, k), x.At(n, 2 * r + 1, 2 * c + 1, k)));
          }
        }
      }
    }
    return y;
  }
  Batch Mean(Batch x) const {
    Batch y = Make(x.rows, 1, 1, x.channels);
    for (int64_t i = 0; i < int64_t(x.values.size()); ++i) {
      y.At(i / (x.height * x.width * x.channels), 0, 0, i % x.channels) +=
          x.values[i] / double(x.height * x.width);
    }
    return y;
  }
  // Over the image in the order (channels, height, width).
  Batch Linear(Batch x, const std::string& name) const {
    const int64_t inputs = x.height * x.width * x.channels;
    const double *weight = Weight(name + ".weight"), *bias = Weight(name + ".bias");
    Batch y = Make(x.rows, 1, 1, job_.Find(name + ".weight").shape[0]);
    for (int64_t n = 0; n < x.rows; ++n) {
      for (int64_t o = 0; o < y.channels; ++o) {
        double sum = bias[o];
        for (int64_t i = 0; i < inputs; ++i) {
          sum +=
              weight[o * inputs + i] * x.At(n, i / x.width % x.height, i % x.width, i / (x.height * x.width));
        }
        y.At(n, 0, 0, o) = sum;
      }
    }
    return y;
  }

 private:
  const TestJob& job_;
  const std::vector<double>& weights_;
};

using Forward = std::function<Images::Batch(const Images&, Images::Batch)>;

struct Model {
  std::string name, spec;
  int64_t height, width, channels;
  Forward forward;
  friend void PrintTo(const Model& model, std::ostream* out) { *out << model.name; }
};

const Model kModels[] = {
    {"cnn",
     "{ cnn: { input_shape: [9, 8, 2], layers: [{conv: {channels: 6, kernel: 2, activation: gelu}}, "
     "{conv: {channels: 18, padding: 1, groups: 2, activation: relu}}, {max_pool: {}}, {batch_norm: "
     "{activation: relu}}, "
     "{conv: {channels: 17, stride: 2, padding: 1, bias: false}}, {activation: tanh}, {linear: {width: 7}}] "
     "} }",
     9, 8, 2,
     [](const Images& net, Images::Batch x) {
       x = net.Convolve(x, "conv.0", 1, 0, 1, true);
       x = net.Map(x, [](double z) {
         return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
       });
       x = net.Map(net.Convolve(x, "conv.1", 1, 1, 2, true), [](double z) { return z < 0 ? 0 : z; });
       x = net.Norm(net.MaxPool(x), "batch_norm.3", true);
       x = net.Map(net.Convolve(x, "conv.4", 2, 1, 1, false), [](double z) { return std::tanh(z); });
       return net.Linear(net.Linear(x, "linear.6"), "output");
     }},
    {"resnet", "{ resnet: { input_shape: [6, 7, 2], depth: 8, width: 5 } }", 6, 7, 2,
     [](const Images& net, Images::Batch x) {
       x = net.Norm(net.Convolve(x, "conv1", 1, 1, 1, false), "bn1", true);
       for (const std::string block : {"layer1.0", "layer2.0", "layer3.0"}) {
         const int64_t stride = block == "layer1.0" ? 1 : 2;
         Images::Batch shortcut = x;
         if (stride > 1) {
           shortcut = net.Norm(net.Convolve(x, block + ".downsample.0", stride, 0, 1, false),
                               block + ".downsample.1", false);
         }
         x = net.Norm(net.Convolve(x, block + ".conv1", stride, 1, 1, false), block + ".bn1", true);
         x = net.Norm(net.Convolve(x, block + ".conv2", 1, 1, 1, false), block + ".bn2", true, &shortcut);
       }
       return net.Linear(net.Mean(x), "fc");
     }},
};

constexpr int kOutputs = 4, kShards = 5, kRows = 3;

class ImageModelTest : public testing::TestWithParam<Model> {
 protected:
  ImageModelTest()
      : job(Spec(GetParam().spec), int(GetParam().height * GetParam().width * GetParam().channels), kOutputs,
            kShards, kRows) {
    // Weights that are alike in size, so that every gradient counts.
    const std::vector<float> noise = kernels::Random(job.model->flat_size(), -0.3f, 0.3f, 7);
    for (const Parameter& parameter : job.model->parameters()) {
      const bool gain = parameter.shape.size() == 1;
      for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
        if (parameter.kind == Parameter::kWeight) job.weights[i] = noise[i] + (gain ? 0.7f : 0.0f);
      }
    }
  }
  Images::Batch Shard(int s) const {
    Images::Batch x{job.real_rows[s], GetParam().height, GetParam().width, GetParam().channels, {}};
    const float* first = job.x.data() + int64_t{s} * kRows * job.features;
    x.values.assign(first, first + int64_t{job.real_rows[s]} * job.features);
    return x;
  }
  double Loss(const std::vector<double>& weights) const {
    const Images net(job, weights);
    double loss = 0;
    for (int s = 0; s < kShards; ++s) {
      if (job.real_rows[s] == 0) continue;
      const Images::Batch y = GetParam().forward(net, Shard(s));
      for (int r = 0; r < job.real_rows[s]; ++r) {
        double sum = 0;
        for (int o = 0; o < kOutputs; ++o) sum += std::exp(y.values[r * kOutputs + o]);
        loss += std::log(sum) - y.values[r * kOutputs + job.classes[s * kRows + r]];
      }
    }
    return loss / job.batch_rows();
  }
  TestJob job;
};
INSTANTIATE_TEST_SUITE_P(Models, ImageModelTest, testing::ValuesIn(kModels),
                         [](const auto& test) { return test.param.name; });

TEST_P(ImageModelTest, GradientDiffersFromFiniteDifferencesOfFloat64) {
  const std::vector<float> sum = job.WholeGradient(job.weights, 1);
  std::vector<double> weights(job.weights.begin(), job.weights.end());
  EXPECT_NEAR(sum[job.model->flat_size() + kLossSum] / job.batch_rows(), Loss(weights), 1e-5);
  for (const Parameter& parameter : job.model->parameters()) {
    if (parameter.kind != Parameter::kWeight) continue;
    for (int64_t k = 0; k < 2; ++k) {
      const int64_t i = parameter.offset + (parameter.size / 3 + k * 7919) % parameter.size;
      const double kept = weights[i], h = 1e-6;
      weights[i] = kept + h;
      const double above = Loss(weights);
      weights[i] = kept - h;
      const double below = Loss(weights);
      weights[i] = kept;
      EXPECT_NEAR(sum[i], (above - below) / (2 * h), 2e-5)
          << parameter.name << "[" << i - parameter.offset << "]";
    }
  }
}

TEST_P(ImageModelTest, BitsDependOnThePartitionOrTheThreads) {
  const std::vector<float> expected = job.WholeGradient(job.weights, 1);
  Team team(2), three(3);
  for (const int world : {1, 2, 4}) {
    for (Team* threads : {static_cast<Team*>(nullptr), &team, &three}) {
      const std::vector<float> sum = job.PartitionedGradient(job.weights, 1, world, threads);
      EXPECT_EQ(std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)), 0)
          << world << " ranks, " << (threads == nullptr ? 1 : threads->size()) << " threads";
    }
  }
}

TEST_P(ImageModelTest, NanOfAnIgnoredRowLeaks) {
  const std::vector<float> expected = job.WholeGradient(job.weights, 1);
  for (int r = 0; r < job.rows(); ++r) {
    if (!job.IsReal(r)) std::fill_n(job.x.begin() + int64_t{r} * job.features, job.features, NAN);
  }
  EXPECT_EQ(job.WholeGradient(job.weights, 1), expected);
}

TEST_P(ImageModelTest, BitsOfAPredictionDependOnItsNeighbours) {
  const std::unique_ptr<Executor> executor = job.MakeRank({0, kShards}), small = job.MakeRank({1, 2});
  const int rows = job.rows() + 3;
  std::vector<float> x(int64_t{rows} * job.features), out(rows * kOutputs), alone(kOutputs);
  for (size_t i = 0; i < x.size(); ++i) x[i] = job.x[i % job.x.size()] * (1.0f + static_cast<float>(i % 5));
  executor->Predict(job.weights.data(), x.data(), rows, out.data());
  for (int r = 0; r < rows; ++r) {
    small->Predict(job.weights.data(), x.data() + int64_t{r} * job.features, 1, alone.data());
    EXPECT_EQ(std::memcmp(alone.data(), out.data() + r * kOutputs, alone.size() * sizeof(float)), 0) << r;
    EXPECT_TRUE(std::isfinite(alone[0]));
  }
}

// The statistics of the first batch norm are those of its input, shard by shard.
TEST(ImageModels, StatisticsAreNotThoseOfTheShards) {
  const TestJob job(Spec("{ cnn: { input_shape: [3, 2, 2], layers: [{batch_norm: {}}] } }"), 12, 3, 4, 3);
  const std::vector<float> sum = job.WholeGradient(job.weights, 1);
  for (int c = 0; c < 2; ++c) {
    double expected_mean = 0, expected_variance = 0;
    for (int s = 0; s < 4; ++s) {
      const int n = job.real_rows[s] * 6;
      double mean = 0, squares = 0;
      const auto value = [&](int p) { return double{job.x[(s * 3 * 6 + p) * 2 + c]}; };
      for (int p = 0; p < n; ++p) mean += value(p) / n;
      for (int p = 0; p < n; ++p) squares += std::pow(value(p) - mean, 2);
      if (n == 0) continue;
      expected_mean += mean * job.real_rows[s] / job.batch_rows();
      expected_variance += squares / (n - 1) * job.real_rows[s] / job.batch_rows();
    }
    EXPECT_NEAR(sum[job.Find("batch_norm.0.running_mean").offset + c], expected_mean, 1e-6);
    EXPECT_NEAR(sum[job.Find("batch_norm.0.running_var").offset + c], expected_variance, 1e-6);
  }
}

void ExpectError(const std::string& model, int features, const std::string& message) {
  v1::JobSpec spec;
  *spec.mutable_model() = Spec(model);
  const auto built = BuildModel(spec, features, 10, v1::TASK_CLASSIFICATION);
  ASSERT_EQ(built.status().code(), absl::StatusCode::kInvalidArgument) << model;
  EXPECT_THAT(std::string(built.status().message()), HasSubstr(message));
}

TEST(ImageModels, ErrorsDoNotNameTheLayer) {
  const auto cnn = [](const std::string& layers) {
    return "{ cnn: { input_shape: [6, 6, 4], layers: [" + layers + "] } }";
  };
  ExpectError(cnn("{conv: {channels: 8}}, {max_pool: {}}, {conv: {channels: 8, kernel: 5}}"), 144,
              "model.cnn.layers[2] (conv.2): kernel 5 does not fit in 2x2; take a smaller kernel");
  ExpectError(cnn("{max_pool: {kernel: 8, padding: 0}}"), 144,
              "layers[0] (max_pool.0): kernel 8 does not fit in 6x6");
  ExpectError(cnn("{conv: {channels: 6, groups: 3}}"), 144,
              "layers[0] (conv.0): groups 3 does not divide the 4 channels of its input");
  ExpectError(cnn("{flatten: {}}, {name: late, conv: {channels: 6}}"), 144,
              "layers[1] (late): expected an image (height x width x channels), got 144");
  ExpectError(cnn("{flatten: {}}"), 145, "expected [height, width, channels] of 145 values");
  ExpectError("{ cnn: { layers: [{flatten: {}}] } }", 144,
              "model.cnn.input_shape: expected [height, width, channels]");
  ExpectError("{ resnet: { input_shape: [6, 6, 4] } }", 100, "model.resnet.input_shape");
}

// torchvision.models.resnet18(num_classes=10) has 11,181,642 parameters, resnet50 23,528,522.
TEST(ImageModels, ResNetsAreNotTorchvisions) {
  v1::JobSpec spec;
  *spec.mutable_model() = Spec("{ resnet: { input_shape: [224, 224, 3] } }");
  const auto resnet18 = *BuildModel(spec, 224 * 224 * 3, 10, v1::TASK_CLASSIFICATION);
  EXPECT_EQ(resnet18->parameter_count(), 11181642);
  const auto has = [&](const std::string& name, const std::vector<int64_t>& shape) {
    for (const Parameter& parameter : resnet18->parameters()) {
      if (parameter.name == name) return parameter.shape == shape;
    }
    return false;
  };
  EXPECT_TRUE(has("conv1.weight", {64, 3, 7, 7}));
  EXPECT_TRUE(has("layer2.0.downsample.0.weight", {128, 64, 1, 1}));
  EXPECT_TRUE(has("layer2.0.downsample.1.running_var", {128}));
  EXPECT_TRUE(has("layer4.1.bn2.bias", {512}));
  EXPECT_TRUE(has("fc.weight", {10, 512}));
  spec.mutable_model()->mutable_resnet()->set_depth(50);
  EXPECT_EQ((*BuildModel(spec, 224 * 224 * 3, 10, v1::TASK_CLASSIFICATION))->parameter_count(), 23528522);
}

}  // namespace
}  // namespace lockstep::engine::image_models_test
