// Whole training steps on a device: the digits' losses beside the CPU's, optimizers, and what does not fit.
#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "common/spec/spec.h"
#include "worker/engine/device/device_rank_for_test.h"

namespace lockstep::engine::device_training_test {
namespace {

class DeviceTraining : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = kernels::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
};

constexpr int kPixels = 64, kDigits = 10;

struct Digits {
  Digits() {
    std::ifstream file(std::string(LOCKSTEP_EXAMPLES) + "/digits.csv");
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream cells(line);
      std::string cell;
      for (int i = 0; i < kPixels && std::getline(cells, cell, ','); ++i) x.push_back(std::stof(cell) / 16);
      std::getline(cells, cell);
      classes.push_back(std::stoi(cell));
    }
  }
  std::vector<float> x;
  std::vector<int> classes;
};

// The steps' mean losses.
template <class Fill, class Step>
std::vector<double> Losses(int batch, int steps, const Fill& fill, const Step& step) {
  std::vector<double> losses;
  for (int s = 1; s <= steps; ++s) {
    fill((s - 1) * batch);
    losses.push_back(step(s) / batch);
  }
  return losses;
}

// Trains the digits' model on both, with AdamW.
void ExpectTheSameLosses(const std::string& model_text, int batch, int steps) {
  const Digits digits;
  ASSERT_EQ(digits.classes.size(), 1797u);
  auto parsed =
      ParseSpec("dataset: { path: a.csv }\nmodel: " + model_text + "\ntrain: { optimizer: { adamw: {} } }",
                "job.yaml", "", {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  v1::JobSpec spec = *parsed;
  const absl::Status complete = CompleteSpec(&spec);
  ASSERT_TRUE(complete.ok()) << complete;
  spec.set_seed(7);
  const std::shared_ptr<const Model> model = *BuildModel(spec, kPixels, kDigits, v1::TASK_CLASSIFICATION);
  ExecutorOptions options;
  options.shards = {0, options.logical_shards};
  options.rows_per_shard = batch / options.logical_shards;
  const auto fill = [&](auto& executor, int first) {
    for (int r = 0; r < batch; ++r) {
      const size_t from = static_cast<size_t>(first + r) % digits.classes.size();
      std::copy_n(digits.x.begin() + static_cast<int64_t>(from) * kPixels, kPixels,
                  executor.features() + r * kPixels);
      executor.classes()[r] = digits.classes[from];
    }
  };

  const auto on_host = *MakeExecutor(model, spec, options);
  const auto optimizer = *MakeOptimizer(spec.train(), *model);
  std::vector<float> weights(model->flat_size()), sums(model->gradient_size());
  model->Initialize(spec.seed(), weights.data());
  const std::vector<double> expected = Losses(
      batch, steps, [&](int first) { fill(*on_host, first); },
      [&](int step) {
        on_host->Gradient(weights.data(), step, batch, sums.data());
        const float loss = sums[model->flat_size() + kLossSum];
        optimizer->Apply(sums.data(), weights.data(), step, 1e-3);
        return loss;
      });

  DeviceRank rank(model, spec, options);
  const std::vector<double> losses = Losses(
      batch, steps, [&](int first) { fill(rank.executor(), first); },
      [&](int step) {
        const float loss = rank.Gradient(step, batch)[model->flat_size() + kLossSum];
        EXPECT_TRUE(std::isfinite(rank.Apply(step, 1e-3)));
        return loss;
      });
  for (int s = 0; s < steps; ++s) EXPECT_NEAR(losses[s], expected[s], 1e-3 * expected[s]) << "step " << s;
  EXPECT_LT(losses.back(), losses.front()) << "it did not learn";
}

TEST_F(DeviceTraining, LossesOfDigitsLeaveTheProcessors) {
  ExpectTheSameLosses("{ mlp: { hidden: [64], activation: relu, dropout: 0.1 } }", 64, 50);
}

TEST_F(DeviceTraining, LossesOfAConvolutionalNetworkLeaveTheProcessors) {
  ExpectTheSameLosses(
      "{ cnn: { input_shape: [8, 8, 1], layers: [{conv: {channels: 4, padding: 1, activation: relu}}, "
      "{max_pool: "
      "{}}, {linear: {width: 16, activation: relu}}] } }",
      8, 50);
}

// The same batch again and again. The emulation takes seconds for a step.
TEST_F(DeviceTraining, LossesOfALanguageModelLeaveTheProcessors) {
  auto parsed = ParseSpec(
      "dataset: { path: a.txt, text: { sequence_length: 6 } }\n"
      "model: { gpt: { layers: 2, heads: 2, width: 8, context: 6 } }\ntrain: { optimizer: { adamw: {} } }",
      "job.yaml", "", {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_TRUE(CompleteSpec(&*parsed).ok());
  TestJob job(parsed->model(), 6, 13, 5, 2, v1::TASK_LANGUAGE_MODEL);
  *job.spec.mutable_train()->mutable_optimizer() = parsed->train().optimizer();
  const auto rank = MakeDeviceRank(job, {0, job.shards});
  const auto optimizer = *MakeOptimizer(job.spec.train(), *job.model);
  const int64_t at = job.model->flat_size() + kLossSum;
  std::vector<float> losses;
  const int steps = kernels::Repeats() > 10 ? 50 : 5;
  for (int step = 1; step <= steps; ++step) {
    std::vector<float> gradient = job.WholeGradient(job.weights, step);
    const float loss = rank->Gradient(step, job.batch_rows())[at];
    EXPECT_NEAR(loss, gradient[at], 1e-3 * gradient[at]) << "step " << step;
    losses.push_back(loss);
    optimizer->Apply(gradient.data(), job.weights.data(), step, 1e-2);
    EXPECT_TRUE(std::isfinite(rank->Apply(step, 1e-2)));
  }
  EXPECT_LT(losses.back(), losses.front()) << "it did not learn";
}

void Sgd(v1::TrainSpec& train) {
  v1::SgdSpec& sgd = *train.mutable_optimizer()->mutable_sgd();
  sgd.set_momentum(0.9);
  sgd.set_nesterov(true);
  sgd.set_weight_decay(0.1);
  train.set_l1(0.01);
  train.mutable_gradient_clip()->set_value(0.02);
}
void Adam(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_adam()->set_weight_decay(0.1);
  train.set_l2(0.05);
  train.mutable_gradient_clip()->set_norm(0.3);
}
void AdamW(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_adamw()->set_weight_decay(0.2);
  train.add_freeze("layers.1.*");
}

void Lion(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_lion()->set_weight_decay(0.2);
  train.mutable_optimizer()->mutable_lion()->set_beta1(0.8);
}
void Adagrad(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_adagrad()->set_weight_decay(0.1);
  train.mutable_gradient_clip()->set_norm(0.3);
}
void RmsProp(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_rmsprop()->set_weight_decay(0.1);
  train.mutable_optimizer()->mutable_rmsprop()->set_momentum(0.5);
}
void PlainRmsProp(v1::TrainSpec& train) { train.mutable_optimizer()->mutable_rmsprop(); }

void Muon(v1::TrainSpec& train) {
  train.mutable_optimizer()->mutable_muon()->set_weight_decay(0.2);
  train.mutable_gradient_clip()->set_norm(0.3);
}

TEST_F(DeviceTraining, OptimizerDiffersFromTheProcessors) {
  for (const auto& set : {Sgd, Adam, AdamW, Lion, Adagrad, RmsProp, PlainRmsProp, Muon}) {
    TestJob job(TestJob::Options{"relu", 90, 5, {60, 30}});  // more than one piece
    set(*job.spec.mutable_train());
    const auto rank = MakeDeviceRank(job, {0, job.shards});
    const auto optimizer = *MakeOptimizer(job.spec.train(), *job.model);
    for (int step = 1; step <= 3; ++step) {
      std::vector<float> gradient = job.WholeGradient(job.weights, step);
      rank->SetWeights(job.weights);
      rank->Gradient(step, job.batch_rows());
      const float norm = rank->Apply(step, 0.05);
      const float expected = optimizer->Apply(gradient.data(), job.weights.data(), step, 0.05);
      EXPECT_NEAR(norm, expected, 1e-5 * expected);
      kernels::ExpectClose(rank->Weights(), job.weights, 1e-4);
    }
    const auto states = rank->optimizer().state(), expected = optimizer->state();
    ASSERT_EQ(states.size(), expected.size());
    for (size_t s = 0; s < states.size(); ++s) {
      EXPECT_EQ(states[s].name, expected[s].name);
      EXPECT_EQ(states[s].parameters, expected[s].parameters);
      const float* data = expected[s].data;
      kernels::ExpectClose(rank->Fetch(states[s].data, job.model->flat_size()),
                           std::vector<float>(data, data + job.model->flat_size()), 1e-4);
    }
  }
}

TEST_F(DeviceTraining, RoundedWeightsAreNotTheWeightsOrNotTheProcessors) {
  for (const auto& set : {Sgd, Adam, AdamW, Lion, Adagrad, RmsProp, Muon}) {
    TestJob job(TestJob::Options{"relu", 90, 5, {60, 30}});
    set(*job.spec.mutable_train());
    const auto rank = MakeDeviceRank(job, {0, job.shards});
    const int64_t size = job.model->flat_size();
    const auto memory = *kernels::DeviceBlock::Allocate(0, static_cast<size_t>(2 * size));
    auto* const rounded = static_cast<uint16_t*>(memory.data());
    for (const bool stochastic : {false, true}) {
      rank->optimizer().KeepRounded(rounded, {stochastic, 5, 0});
      ASSERT_TRUE(rank->optimizer().Round(rank->weights(), 7).ok());
      rank->Gradient(8, job.batch_rows());
      EXPECT_TRUE(std::isfinite(rank->Apply(8, 0.05)));
      const std::vector<float> weights = rank->Weights();
      const auto kept = rank->Fetch(rounded, size);
      std::vector<uint16_t> stochastically(kept.size());
      kernels::cpu::RoundStochastically({true, 5, 8}, 0, size, weights.data(), stochastically.data());
      for (const Parameter& parameter : job.model->parameters()) {
        const bool frozen = parameter.name.starts_with("layers.1.") && job.spec.train().freeze_size() > 0;
        int differ = 0;
        for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; ++i) {
          const auto nearest =
              static_cast<uint16_t>(std::bit_cast<uint32_t>(kernels::RoundedToBf16(weights[i])) >> 16);
          ASSERT_EQ(kept[i], stochastic && !frozen ? stochastically[i] : nearest)
              << parameter.name << " at " << i - parameter.offset;
          if (kept[i] != nearest) ++differ;
        }
        if (parameter.size <= 100) continue;
        EXPECT_EQ(differ > parameter.size / 5, stochastic && !frozen) << differ;
      }
    }
  }
}

TEST_F(DeviceTraining, GradientThatIsNotFiniteChangesAWeight) {
  TestJob job(TestJob::Options{"relu", 5, 3, {4}});
  AdamW(*job.spec.mutable_train());
  job.spec.mutable_train()->clear_freeze();
  const auto rank = MakeDeviceRank(job, {0, job.shards});
  rank->executor().features()[0] = std::numeric_limits<float>::infinity();
  rank->Gradient(1, job.batch_rows());
  EXPECT_FALSE(std::isfinite(rank->Apply(1, 0.05)));
  EXPECT_EQ(rank->Weights(), job.weights);
  for (const auto& state : rank->optimizer().state()) {
    EXPECT_EQ(rank->Fetch(state.data, job.model->flat_size()), std::vector<float>(job.model->flat_size()));
  }
}

TEST_F(DeviceTraining, JobThatDoesNotFitIsStarted) {
  const TestJob job(TestJob::Options{"relu", 1000, 10, {1000}});
  v1::JobSpec spec = job.spec;
  Adam(*spec.mutable_train());
  ExecutorOptions options;
  options.shards = {0, options.logical_shards};
  options.rows_per_shard = 100'000'000;
  const DevicePlan plan = *PlanDevice(*job.model, spec, options);
  EXPECT_GT(plan.activations, int64_t{8} * 100'000'000 * 1000 * 4);
  const kernels::DeviceProperties device = *kernels::PropertiesOf(0);
  const absl::Status status = CheckFits(plan, device);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  for (const std::string& part : {device.name, std::string("activations and their gradients "),
                                  std::string("train.batch_size"), std::string("are free")}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << part << " is not in: " << status;
  }
  EXPECT_EQ(DeviceArena::Make(0, plan.total()).status().code(), absl::StatusCode::kResourceExhausted);
  options.rows_per_shard = 1;
  EXPECT_TRUE(CheckFits(*PlanDevice(*job.model, spec, options), device).ok());
}

}  // namespace
}  // namespace lockstep::engine::device_training_test
