// Regularisation, clipping and the update of SGD, Adam and AdamW over the flat buffers.

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/update.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

// A run of the flat buffer whose parameters all decay, or all do not; gaps join the run before them.
struct Run {
  int64_t offset = 0, size = 0;
  bool decays = false;
};

std::vector<Run> RunsOf(const Model& model) {
  std::vector<Parameter> parameters = model.parameters();
  std::sort(parameters.begin(), parameters.end(),
            [](const Parameter& a, const Parameter& b) { return a.offset < b.offset; });
  std::vector<Run> runs;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int64_t end = i + 1 < parameters.size() ? parameters[i + 1].offset : model.flat_size();
    const int64_t size = end - parameters[i].offset;
    if (!runs.empty() && runs.back().decays == parameters[i].decays) {
      runs.back().size += size;
    } else {
      runs.push_back({parameters[i].offset, size, parameters[i].decays});
    }
  }
  return runs;
}

// What all kinds share: the loss's regularisation, the norm, the clip.
class FlatOptimizer : public Optimizer {
 public:
  FlatOptimizer(const v1::TrainSpec& spec, const Model& model)
      : runs_(RunsOf(model)),
        size_(model.flat_size()),
        l1_(static_cast<float>(spec.l1())),
        l2_(static_cast<float>(spec.l2())),
        norm_(spec.gradient_clip().norm()),
        limit_(static_cast<float>(spec.gradient_clip().value())) {}

  float Apply(float* gradient, float* weights, int64_t step, double learning_rate) override {
    PrepareComputeThread();
    double squares = 0;
    for (const Run& run : runs_) {
      squares += kernels::cpu::Regularize(run.size, run.decays ? l1_ : 0.0f, run.decays ? l2_ : 0.0f,
                                          weights + run.offset, gradient + run.offset);
    }
    const float norm = static_cast<float>(std::sqrt(squares));
    if (!std::isfinite(norm)) return norm;
    kernels::Clip clip;
    if (norm_ > 0 && norm > norm_) clip.scale = static_cast<float>(norm_ / norm);
    clip.limit = limit_;
    Update(clip, gradient, weights, step, learning_rate);
    return norm;
  }

 protected:
  virtual void Update(const kernels::Clip& clip, const float* gradient, float* weights, int64_t step,
                      double learning_rate) = 0;
  const std::vector<Run> runs_;
  const int64_t size_;

 private:
  const float l1_, l2_;
  const double norm_;  // 0: none
  const float limit_;  // 0: none
};

class Sgd final : public FlatOptimizer {
 public:
  Sgd(const v1::TrainSpec& spec, const Model& model)
      : FlatOptimizer(spec, model),
        options_(spec.optimizer().sgd()),
        momentum_(options_.momentum() != 0 ? static_cast<size_t>(size_) : 0) {}

  std::vector<State> state() override {
    if (momentum_.empty()) return {};
    return {{"momentum", momentum_.data()}};
  }

 protected:
  void Update(const kernels::Clip& clip, const float* gradient, float* weights, int64_t,
              double learning_rate) override {
    kernels::SgdStep step;
    step.rate = static_cast<float>(learning_rate);
    step.momentum = static_cast<float>(options_.momentum());
    step.nesterov = options_.nesterov();
    for (const Run& run : runs_) {
      step.decay = run.decays ? static_cast<float>(options_.weight_decay()) : 0.0f;
      kernels::cpu::SgdUpdate(step, clip, run.size, gradient + run.offset,
                              momentum_.empty() ? nullptr : momentum_.data() + run.offset,
                              weights + run.offset);
    }
  }

 private:
  const v1::SgdSpec options_;
  std::vector<float> momentum_;
};

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;
};

template <class Spec>
AdamOptions OptionsOf(const Spec& spec, double default_decay, bool decoupled) {
  return {spec.has_beta1() ? spec.beta1() : 0.9, spec.has_beta2() ? spec.beta2() : 0.999,
          spec.has_epsilon() ? spec.epsilon() : 1e-8,
          spec.has_weight_decay() ? spec.weight_decay() : default_decay, decoupled};
}

class Adam final : public FlatOptimizer {
 public:
  Adam(const v1::TrainSpec& spec, const Model& model, const AdamOptions& options)
      : FlatOptimizer(spec, model),
        options_(options),
        first_(static_cast<size_t>(size_)),
        second_(static_cast<size_t>(size_)) {}

  std::vector<State> state() override { return {{"exp_avg", first_.data()}, {"exp_avg_sq", second_.data()}}; }

 protected:
  void Update(const kernels::Clip& clip, const float* gradient, float* weights, int64_t step,
              double learning_rate) override {
    kernels::AdamStep adam;
    adam.beta1 = static_cast<float>(options_.beta1);
    adam.beta2 = static_cast<float>(options_.beta2);
    const double t = static_cast<double>(step);
    adam.rate1 = static_cast<float>(learning_rate / (1.0 - std::pow(options_.beta1, t)));
    adam.root2 = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t)));
    adam.epsilon = static_cast<float>(options_.epsilon);
    for (const Run& run : runs_) {
      const double decay = run.decays ? options_.weight_decay : 0.0;
      adam.decay = options_.decoupled ? 0.0f : static_cast<float>(decay);
      adam.keep = options_.decoupled ? static_cast<float>(1.0 - learning_rate * decay) : 1.0f;
      kernels::cpu::AdamUpdate(adam, clip, run.size, gradient + run.offset, first_.data() + run.offset,
                               second_.data() + run.offset, weights + run.offset);
    }
  }

 private:
  const AdamOptions options_;
  std::vector<float> first_, second_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::TrainSpec& spec, const Model& model) {
  switch (spec.optimizer().kind_case()) {
    case v1::OptimizerSpec::kSgd:
      if (spec.optimizer().sgd().nesterov() && spec.optimizer().sgd().momentum() <= 0) {
        return absl::InvalidArgumentError("train.optimizer.sgd: nesterov needs a momentum above 0");
      }
      return std::make_unique<Sgd>(spec, model);
    case v1::OptimizerSpec::kAdam:
      return std::make_unique<Adam>(spec, model, OptionsOf(spec.optimizer().adam(), 0.0, false));
    case v1::OptimizerSpec::kAdamw:
    case v1::OptimizerSpec::KIND_NOT_SET:
      return std::make_unique<Adam>(spec, model, OptionsOf(spec.optimizer().adamw(), 0.01, true));
    default:
      break;
  }
  return absl::InvalidArgumentError("train.optimizer: unknown kind");
}

}  // namespace lockstep::engine
