// Training steps of GPT-2 124M on a GPU in bf16 (AdamW, 16 x 1,024 tokens), with one logical shard and with
// eight: what the order-independent sum costs a step on one GPU.
//
//   device_step_bench [--least]    --least: a model of one layer and few steps, to see that it runs
//
// Rounds of the two in turn; medians of five. The input is filled in once.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/spec/spec.h"
#include "kernels/cuda/runtime.h"
#include "worker/trainer/step_engine.h"

namespace {

using namespace lockstep;

void Demand(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "device_step_bench: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}
template <class T>
T Demand(absl::StatusOr<T> made) {
  Demand(made.status());
  return *std::move(made);
}

class Steps {
 public:
  Steps(bool least, int shards) : batch_(least ? 8 : 16) {
    const int steps = least ? 4 : 1024, vocabulary = least ? 11 : 50257;
    const std::string model = least ? "{ layers: 1, heads: 1, width: 8, context: 4 }"
                                    : "{ layers: 12, heads: 12, width: 768, context: 1024 }";
    v1::JobSpec spec = Demand(ParseSpec(
        "dataset: { path: a.txt, text: { sequence_length: " + std::to_string(steps) +
            " } }\nmodel: { gpt: " + model + " }\ntrain: { precision: bf16, optimizer: { adamw: {} } }",
        "bench", "", {}));
    Demand(CompleteSpec(&spec));
    const auto built = Demand(engine::BuildModel(spec, steps, vocabulary, v1::TASK_LANGUAGE_MODEL));
    engine_ = Demand(MakeGpuStepEngine(built, spec));
    built->Initialize(1, engine_->weights().data());
    engine::ExecutorOptions options;
    options.logical_shards = shards;
    options.shards = {0, shards};
    options.rows_per_shard = batch_ / shards;
    options.precision = Demand(engine_->PrecisionOf(v1::PRECISION_BF16));
    Demand(engine_->Form(options));
    engine::ProductChoices choices;
    choices.device = engine_->products();
    Demand(engine_->ChooseProducts(&choices));
    Demand(engine_->UseProducts(choices));
    for (int i = 0; i < batch_ * steps; ++i) {
      engine_->tokens()[i] = i * 31 % vocabulary;
      engine_->classes()[i] = (i + 1) * 31 % vocabulary;
    }
    for (int shard = 0; shard < shards; ++shard) engine_->SetRows(shard, options.rows_per_shard);
    tokens_ = static_cast<double>(batch_) * steps;
  }

  // Of one step.
  double Seconds(int steps) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) {
      float stats[engine::kStats] = {};
      Demand(engine_->Gradient(step_, batch_, nullptr));
      Demand(engine_->AwaitGradient());
      Demand(engine_->PutStats(stats));
      Demand(engine_->GetStats(stats));
      (void)Demand(engine_->Update(++step_, 1e-4));
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / steps;
  }
  double tokens() const { return tokens_; }

 private:
  const int batch_;
  double tokens_ = 0;
  int64_t step_ = 0;
  std::unique_ptr<StepEngine> engine_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool least = argc == 2 && std::string_view(argv[1]) == "--least";
  if (argc > 1 && !least) {
    std::fprintf(stderr, "device_step_bench [--least]    --least: a small model, to see that it runs\n");
    return 2;
  }
  if (kernels::CountDevices() == 0) {
    std::printf("device_step_bench: this machine has no GPU, or this build no CUDA; nothing was measured\n");
    return 0;
  }
  Steps one(least, 1), eight(least, 8);
  const int steps = least ? 1 : 10;
  for (Steps* of : {&one, &eight}) of->Seconds(3);  // as it is, captured, replayed
  std::vector<double> alone, ratios;
  for (int round = 0; round < (least ? 1 : 5); ++round) {
    alone.push_back(one.Seconds(steps));
    ratios.push_back(eight.Seconds(steps) / alone.back());
  }
  std::sort(alone.begin(), alone.end());
  std::sort(ratios.begin(), ratios.end());
  const double seconds = alone[alone.size() / 2];
  std::printf("one shard: %.2f ms a step, %.0f tokens/s; eight shards: %.3f times that\n", seconds * 1e3,
              one.tokens() / seconds, ratios[ratios.size() / 2]);
}
