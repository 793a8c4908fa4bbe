// The arithmetic of training steps for bench/peers/steps: the very engine that trainers run, in the default
// reproducible mode, on given or made-up data, without the service around it.
//
//   engine_steps SPEC --features 784 --outputs 10 --task classification --threads 2 --seconds 5
//   engine_steps SPEC ... --weights w.safetensors --batches DIR --losses 20      the first losses, from given
//   weights
//
// DIR holds x.bin (steps, batch, features) float32 or int32 tokens and y.bin int32 (steps, batch, positions).
// Prints one line of JSON: {"steps_per_second": ..., "losses": [...], "parameters": ..., "executor_bytes":
// ..., "peak_bytes": ...}.
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/safetensors.h"
#include "common/flags/command_line.h"
#include "common/numerics/philox.h"
#include "common/spec/spec.h"
#include "worker/engine/engine.h"
#include "worker/engine/rounded_weights.h"
#include "worker/engine/team.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {
namespace {

struct Arguments {
  std::string spec, task = "classification", weights, batches;
  std::vector<std::string> sets;
  int features = 1, outputs = 1, threads = 1, losses = 0;
  double seconds = 5;
};

template <typename T>
std::vector<T> ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

absl::Status LoadWeights(const Model& model, const std::string& path, float* weights) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  for (const Parameter& parameter : model.parameters()) {
    const TensorView* tensor = file.Find(parameter.name);
    if (tensor == nullptr || tensor->shape != parameter.shape) {
      if (parameter.kind == Parameter::kStatistic) continue;
      return absl::NotFoundError(
          absl::StrCat(path, ": ", tensor == nullptr ? "no tensor " : "another shape for ", parameter.name));
    }
    std::memcpy(weights + parameter.offset, tensor->data,
                static_cast<size_t>(parameter.size) * sizeof(float));
  }
  return absl::OkStatus();
}

class Steps {
 public:
  static absl::StatusOr<std::unique_ptr<Steps>> Make(const Arguments& flags) {
    auto steps = std::unique_ptr<Steps>(new Steps(flags.threads));
    ASSIGN_OR_RETURN(steps->spec_, ReadSpec(flags.spec, flags.sets));
    RETURN_IF_ERROR(CompleteSpec(&steps->spec_));
    const v1::Task task = flags.task == "language_model" ? v1::TASK_LANGUAGE_MODEL : v1::TASK_CLASSIFICATION;
    ASSIGN_OR_RETURN(steps->model_, BuildModel(steps->spec_, flags.features, flags.outputs, task));
    ASSIGN_OR_RETURN(steps->optimizer_, MakeOptimizer(steps->spec_.train(), *steps->model_, &steps->team_));
    ExecutorOptions options;
    options.logical_shards = steps->spec_.train().logical_shards();
    options.shards = {0, options.logical_shards};
    steps->batch_ = steps->spec_.train().batch_size();
    options.rows_per_shard = (steps->batch_ + options.logical_shards - 1) / options.logical_shards;
    options.team = &steps->team_;
    ASSIGN_OR_RETURN(options.precision, PrecisionOf(steps->spec_.train().precision()));
    steps->rounded_ = RoundedWeights(steps->model_->flat_size(), options.precision, RoundingOf(steps->spec_),
                                     steps->optimizer_.get());
    options.rounded_weights = steps->rounded_.data();
    ASSIGN_OR_RETURN(steps->executor_, MakeExecutor(steps->model_, steps->spec_, options));
    steps->rows_per_shard_ = options.rows_per_shard;
    steps->weights_ = ZeroedFloats(steps->model_->flat_size());
    steps->model_->Initialize(steps->spec_.seed(), steps->weights_.data());
    if (!flags.weights.empty()) {
      RETURN_IF_ERROR(LoadWeights(*steps->model_, flags.weights, steps->weights_.data()));
    }
    steps->sums_ = ZeroedFloats(steps->model_->gradient_size());
    if (!flags.batches.empty()) {
      steps->x_ = ReadAll<float>(flags.batches + "/x.bin");
      steps->y_ = ReadAll<int32_t>(flags.batches + "/y.bin");
    }
    steps->Fill(0);
    return steps;
  }

  // One step; its loss. OUT_OF_RANGE: the gradient is not finite, so that the step changed nothing.
  absl::StatusOr<double> Run() {
    if (!x_.empty()) Fill(step_);
    ++step_;
    rounded_.Follow(weights_.data(), step_);
    executor_->Gradient(weights_.data(), step_, batch_, sums_.data());
    const double loss =
        sums_.data()[model_->flat_size() + kLossSum] / (static_cast<double>(batch_) * model_->positions());
    const float norm = optimizer_->Apply(sums_.data(), weights_.data(), step_,
                                         LearningRate(spec_.train(), step_, 1000000, 1000000));
    if (std::isfinite(norm) && std::isfinite(loss)) return loss;
    return absl::OutOfRangeError(
        absl::StrFormat("step %d: loss %g and gradient norm %g: no step was made", step_, loss, norm));
  }

  const Model& model() const { return *model_; }
  const Executor& executor() const { return *executor_; }

 private:
  explicit Steps(int threads) : team_(threads) {}

  // Rows spread over the shards as the trainer spreads them.
  void Fill(int64_t step) {
    const int64_t features = model_->features(), positions = model_->positions();
    const int shards = spec_.train().logical_shards();
    for (int shard = 0; shard < shards; ++shard) {
      const int64_t begin = int64_t{batch_} * shard / shards, end = int64_t{batch_} * (shard + 1) / shards;
      executor_->SetRows(shard, static_cast<int>(end - begin));
      for (int64_t row = begin; row < end; ++row) {
        const int64_t to = int64_t{shard} * rows_per_shard_ + row - begin, from = step * batch_ + row;
        for (int64_t i = 0; i < features; ++i) {
          const PhiloxBlock random = Philox(1, 1, static_cast<uint64_t>(row * features + i));
          if (!x_.empty()) {
            executor_->features()[to * features + i] = x_[static_cast<size_t>(from * features + i)];
          } else if (model_->reads_tokens()) {
            executor_->tokens()[to * features + i] =
                static_cast<int32_t>(random.value[0] % static_cast<uint32_t>(model_->outputs()));
          } else {
            executor_->features()[to * features + i] = UniformFromBits(random.value[0]);
          }
        }
        for (int64_t i = 0; i < positions; ++i) {
          const uint32_t random = Philox(2, 1, static_cast<uint64_t>(row * positions + i)).value[0];
          executor_->classes()[to * positions + i] =
              y_.empty() ? static_cast<int32_t>(random % static_cast<uint32_t>(model_->outputs()))
                         : y_[static_cast<size_t>(from * positions + i)];
        }
      }
    }
  }

  Team team_;
  v1::JobSpec spec_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Executor> executor_;
  int batch_ = 0, rows_per_shard_ = 0;
  ZeroedFloats weights_, sums_;
  RoundedWeights rounded_;
  std::vector<float> x_;
  std::vector<int32_t> y_;
  int64_t step_ = 0;
};

absl::Status Main(const Arguments& flags) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Steps> steps, Steps::Make(flags));
  std::string losses;
  for (int i = 0; i < flags.losses; ++i) {
    ASSIGN_OR_RETURN(const double loss, steps->Run());
    absl::StrAppend(&losses, i > 0 ? ", " : "", absl::StrFormat("%.9g", loss));
  }
  double rate = 0;
  if (flags.losses == 0) {
    for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(steps->Run().status());
    const auto start = std::chrono::steady_clock::now();
    int64_t count = 0;
    double elapsed = 0;
    for (; elapsed < flags.seconds; ++count) {
      RETURN_IF_ERROR(steps->Run().status());
      elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    rate = static_cast<double>(count) / elapsed;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"steps_per_second\": %.6g, \"losses\": [%s], \"parameters\": %lld, \"executor_bytes\": %lld, "
      "\"peak_bytes\": %lld}\n",
      rate, losses.c_str(), static_cast<long long>(steps->model().parameter_count()),
      static_cast<long long>(steps->executor().bytes()), static_cast<long long>(usage.ru_maxrss) * 1024);
  return absl::OkStatus();
}

}  // namespace
}  // namespace lockstep::engine

int main(int argc, char** argv) {
  lockstep::engine::Arguments flags;
  lockstep::CommandLine line("engine_steps", "Training steps of one spec, for bench/peers/steps.");
  lockstep::Flags& takes = line.flags();
  takes.Positional("spec", &flags.spec, "the job's");
  takes.Number("--features", &flags.features, 1, 1 << 30, "columns of a record");
  takes.Number("--outputs", &flags.outputs, 1, 1 << 30, "classes, or numbers that are predicted");
  takes.Text("--task", &flags.task, "as in the spec", "TASK");
  takes.Texts("--set", &flags.sets, "another value for a field of the spec", "FIELD=VALUE");
  takes.Number("--threads", &flags.threads, 1, 1024, "to compute with");
  takes.Real("--seconds", &flags.seconds, 0, 86400, "how long to measure");
  takes.Text("--weights", &flags.weights, "safetensors to start from", "FILE");
  takes.Text("--batches", &flags.batches, "x.bin and y.bin, records instead of random ones", "DIR");
  takes.Number("--losses", &flags.losses, 0, 1 << 30,
               "print the losses of so many steps instead of the speed");
  if (const auto exit = line.Parse(argc, argv)) return lockstep::Leave(*exit);
  const absl::Status status = lockstep::engine::Main(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "engine_steps: %s\n", std::string(status.message()).c_str());
  return 1;
}
