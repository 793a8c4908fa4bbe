// The state lies in an arena of its own, made by the first MakeRoom and kept; another holds what a
// generation's executor needs. Until then the host's copy is all there is.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/cublas/lt_api.h"
#include "kernels/cuda/hash.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/lerp.h"
#include "kernels/cuda/runtime.h"
#include "spdlog/spdlog.h"
#include "worker/engine/device/device_executor.h"
#include "worker/engine/device/device_optimizer.h"
#include "worker/engine/device/device_plan.h"
#include "worker/trainer/step_engine.h"

namespace lockstep {
namespace {

constexpr int kDevice = 0;  // CUDA_VISIBLE_DEVICES leaves a trainer one

// Of a gradient, at least, whose sum is begun while the rest is computed. All ranks must have the same.
absl::StatusOr<int64_t> PartFloats() {
  constexpr char kName[] = "LOCKSTEP_PART_BYTES";
  const char* const text = std::getenv(kName);
  if (text == nullptr) return engine::kPartFloats;
  int64_t bytes = 0;
  if (absl::SimpleAtoi(text, &bytes) && bytes > 0) return std::max<int64_t>(1, bytes / 4);
  return absl::InvalidArgumentError(absl::StrCat(kName, "=", text, ": expected a number of bytes above 0"));
}

bool GraphsAreWanted() {
  const char* const text = std::getenv("LOCKSTEP_GRAPHS");
  return text == nullptr || std::string_view(text) != "0";
}

class GpuStepEngine final : public StepEngine {
 public:
  GpuStepEngine(std::shared_ptr<const engine::Model> model, v1::JobSpec spec)
      : model_(std::move(model)), spec_(std::move(spec)), rounding_(engine::RoundingOf(spec_)) {}

  absl::Status Start() {
    engine::ExecutorOptions least;
    least.shards = {0, 1};
    least.rows_per_shard = 1;
    RETURN_IF_ERROR(engine::DeviceExecutor::Check(model_, least));
    ASSIGN_OR_RETURN(optimizer_state_, engine::DeviceOptimizer::StatesOf(spec_.train(), *model_));
    ASSIGN_OR_RETURN(stream_, kernels::DeviceStream::Make(kDevice));
    ASSIGN_OR_RETURN(stats_, kernels::PinnedBlock::Allocate(kDevice, engine::kStats * sizeof(float)));
    if (const absl::StatusOr<const kernels::LtLibrary*> library = kernels::LoadLt(); library.ok()) {
      library_ = *library;
    } else {
      spdlog::info("{}; products are our own kernels'", std::string(library.status().message()));
    }
    RETURN_IF_ERROR(AddCopy(true, &weights_));
    RETURN_IF_ERROR(AddCopy(spec_.train().has_ema(), &average_));
    RETURN_IF_ERROR(AddCopy(spec_.train().has_early_stopping(), &best_));
    for (engine::Optimizer::State& state : optimizer_state_) {
      std::span<float> host;
      RETURN_IF_ERROR(AddCopy(true, &host));
      state.data = host.data();
    }
    return absl::OkStatus();
  }

  CollectiveOptions::Memory memory() const override { return CollectiveOptions::Memory::kDevice; }
  kernels::Stream stream() const override { return stream_.get(); }
  float* node_sums() override { return executor_->node_sums(); }

  // The state's: what else a generation needs must wait until the one before has given it back, in Form.
  absl::Status MakeRoom(const engine::ExecutorOptions& wanted) override {
    if (optimizer_ != nullptr) return absl::OkStatus();
    engine::ExecutorOptions options = wanted;
    options.products = library_;
    ASSIGN_OR_RETURN(const engine::DevicePlan plan, engine::PlanDevice(*model_, spec_, options));
    ASSIGN_OR_RETURN(const kernels::DeviceProperties device, kernels::PropertiesOf(kDevice));
    RETURN_IF_ERROR(engine::CheckFits(plan, device));
    return TakeState(plan.weights + plan.optimizer);
  }
  absl::Status Form(engine::ExecutorOptions options) override {
    RETURN_IF_ERROR(kernels::UseDevice(kDevice));
    RETURN_IF_ERROR(MakeRoom(options));
    ASSIGN_OR_RETURN(options.part_floats, PartFloats());
    options.graphs = GraphsAreWanted();
    options.products = library_;
    executor_.reset();
    optimizer_->KeepRounded(nullptr, {});
    rounded_ = nullptr;
    step_arena_ = engine::DeviceArena();
    ASSIGN_OR_RETURN(const engine::DevicePlan plan, engine::PlanDevice(*model_, spec_, options));
    ASSIGN_OR_RETURN(kernels::DeviceProperties device, kernels::PropertiesOf(kDevice));
    const int64_t of_state = plan.weights + plan.optimizer;
    device.free += of_state;  // it is this job's already
    RETURN_IF_ERROR(engine::CheckFits(plan, device));
    bytes_ = plan.activations + plan.inputs + plan.rounded;
    spdlog::info(
        "{} ({}): {:.1f} MB of its memory for activations and inputs, {:.1f} MB for sums, {:.1f} MB for "
        "weights and the optimizer's state",
        device.name, device.uuid, static_cast<double>(bytes_) / 1e6,
        static_cast<double>(plan.node_sums) / 1e6, static_cast<double>(of_state) / 1e6);
    ASSIGN_OR_RETURN(step_arena_, engine::DeviceArena::Make(kDevice, plan.total() - of_state));
    if (plan.rounded > 0) {
      ASSIGN_OR_RETURN(char* const rounded, step_arena_.Take(plan.rounded));
      rounded_ = reinterpret_cast<uint16_t*>(rounded);
      rounded_is_current_ = false;
      optimizer_->KeepRounded(rounded_, rounding_);
    }
    options.rounded_weights = rounded_;
    ASSIGN_OR_RETURN(executor_, engine::DeviceExecutor::Make(model_, spec_, options, step_arena_, stream_));
    return stream_.Wait();
  }
  std::string products() const override { return executor_->products(); }
  absl::Status ChooseProducts(engine::ProductChoices* choices) override {
    return executor_->ChooseProducts(copies_[0].device, choices);
  }
  absl::Status UseProducts(const engine::ProductChoices& choices) override {
    return executor_->UseProducts(copies_[0].device, choices);
  }
  int64_t bytes() const override { return bytes_; }
  absl::StatusOr<int64_t> HostBytes(const engine::ExecutorOptions&) const override { return 0; }
  absl::StatusOr<engine::Precision> PrecisionOf(v1::Precision wanted) const override {
    if (wanted != v1::PRECISION_AUTO && wanted != v1::PRECISION_BF16) return engine::Precision::kFp32;
    ASSIGN_OR_RETURN(const kernels::DeviceProperties device, kernels::PropertiesOf(kDevice));
    if (device.bf16) return engine::Precision::kBf16;
    if (wanted == v1::PRECISION_AUTO) return engine::Precision::kFp32;
    return absl::FailedPreconditionError(absl::StrCat(
        "train.precision: bf16 needs a GPU that multiplies it natively (compute capability 8.0), "
        "this one is a ",
        device.name, " with ", device.major, ".", device.minor,
        "; use precision: auto or fp32, or run it on another worker"));
  }

  float* features() override { return executor_->features(); }
  int32_t* tokens() override { return executor_->tokens(); }
  int32_t* classes() override { return executor_->classes(); }
  float* targets() override { return executor_->targets(); }
  void SetRows(int local_shard, int rows) override { executor_->SetRows(local_shard, rows); }

  absl::Status Gradient(int64_t step, int batch_rows, const engine::PartReady& ready) override {
    RETURN_IF_ERROR(FollowWeights(step));
    const absl::Status queued = executor_->Gradient(copies_[0].device, step, batch_rows, ready);
    if (queued.ok()) return queued;
    const absl::Status waited = stream_.Wait();  // nobody waits for a gradient that was not queued whole
    return waited.ok() || absl::IsInternal(queued) ? queued : waited;
  }
  bool GradientIsDone() const override { return stream_.Passed(); }
  absl::Status AwaitGradient() override { return stream_.Wait(); }
  bool computes_beside() const override { return true; }
  absl::Status AwaitStaging() override { return executor_->AwaitStaging(); }
  absl::Status Bring(int64_t step) override { return executor_->Bring(step); }
  absl::Status PutStats(const float* stats) override {
    float* const pinned = static_cast<float*>(stats_.data());
    constexpr int kCount = engine::kStats - engine::kSamples;
    std::copy_n(stats, kCount, pinned);
    RETURN_IF_ERROR(stream_.ToDevice(Stats() + engine::kSamples, pinned, kCount * sizeof(float)));
    return stream_.Wait();
  }
  absl::Status GetStats(float* stats) override {
    RETURN_IF_ERROR(stream_.ToHost(stats_.data(), Stats(), stats_.size()));
    RETURN_IF_ERROR(stream_.Wait());
    std::copy_n(static_cast<const float*>(stats_.data()), engine::kStats, stats);
    return absl::OkStatus();
  }
  absl::StatusOr<float> Update(int64_t step, double learning_rate) override {
    for (HostCopy& copy : copies_) {
      if (&copy == Of(Copy::kAverage) || &copy == Of(Copy::kBest)) continue;
      copy.current = false;
    }
    RETURN_IF_ERROR(optimizer_->Apply(executor_->node_sums(), copies_[0].device, step, learning_rate));
    RETURN_IF_ERROR(stream_.Wait());
    if (std::isfinite(optimizer_->norm())) rounded_step_ = step;
    return optimizer_->norm();
  }
  absl::Status Average(double decay) override {
    HostCopy* const average = Of(Copy::kAverage);
    average->current = false;
    return kernels::ToStatus(kernels::cuda::Lerp(model_->flat_size(), static_cast<float>(1.0 - decay),
                                                 copies_[0].device, average->device, stream_.get()));
  }
  absl::Status KeepBest(Copy judged) override {
    HostCopy* const best = Of(Copy::kBest);
    best->current = false;
    return stream_.OnDevice(best->device, Of(judged)->device, Bytes());
  }

  absl::Status Predict(Copy weights, const float* x, int rows, float* out) override {
    return executor_->Predict(Of(weights)->device, x, rows, out);
  }
  absl::Status TokenLosses(Copy weights, const int32_t* x, const int32_t* classes, int rows, float* losses,
                           float* correct) override {
    return executor_->TokenLosses(Of(weights)->device, x, classes, rows, losses, correct);
  }

  absl::Status Fetch() override {
    if (optimizer_ == nullptr) return absl::OkStatus();  // nothing is on the device yet
    bool any = false;
    for (HostCopy& copy : copies_) {
      if (std::exchange(copy.current, true)) continue;
      any = true;
      RETURN_IF_ERROR(stream_.ToHost(copy.host.data(), copy.device, Bytes()));
    }
    return any ? stream_.Wait() : absl::OkStatus();
  }
  absl::Status Store() override {
    if (optimizer_ == nullptr) return absl::OkStatus();  // MakeRoom will
    for (HostCopy& copy : copies_) {
      RETURN_IF_ERROR(stream_.ToDevice(copy.device, copy.host.data(), Bytes()));
      copy.current = true;
    }
    rounded_is_current_ = false;
    return stream_.Wait();
  }
  float* StateOf(float* copy) override {
    for (const HostCopy& each : copies_) {
      float* const begin = static_cast<float*>(each.host.data());
      if (copy >= begin && copy < begin + model_->flat_size()) return each.device + (copy - begin);
    }
    return nullptr;
  }
  void HostIsBehind() override {
    for (HostCopy& copy : copies_) copy.current = false;
    rounded_is_current_ = false;
  }
  absl::StatusOr<uint64_t> Hash(std::span<const std::span<float>> stretches) override {
    auto* const hash = static_cast<uint64_t*>(hash_.data());
    RETURN_IF_ERROR(stream_.Zero(hash, sizeof(uint64_t)));
    for (const std::span<float> each : stretches) {
      RETURN_IF_ERROR(kernels::ToStatus(
          kernels::cuda::ChainHash(std::ssize(each), StateOf(each.data()), hash + 1, hash, stream_.get())));
    }
    RETURN_IF_ERROR(stream_.ToHost(stats_.data(), hash, sizeof(uint64_t)));
    RETURN_IF_ERROR(stream_.Wait());
    return *static_cast<const uint64_t*>(stats_.data());
  }

 private:
  struct HostCopy {
    kernels::PinnedBlock host;
    float* device = nullptr;
    bool current = true;  // does the host hold what the device does?
  };

  size_t Bytes() const { return static_cast<size_t>(model_->flat_size()) * sizeof(float); }
  // The weights that products read are the state's, rounded for this step. The optimizer has done it, unless
  // somebody else wrote to them or their step was skipped.
  absl::Status FollowWeights(int64_t step) {
    if (rounded_ == nullptr || (rounded_is_current_ && (!rounding_.stochastic || rounded_step_ == step))) {
      return absl::OkStatus();
    }
    rounded_is_current_ = true;
    rounded_step_ = step;
    return optimizer_->Round(copies_[0].device, step);
  }

  float* Stats() { return executor_->node_sums() + model_->flat_size(); }
  // The weights come first, then those of average and best that there are, then the optimizer's.
  HostCopy* Of(Copy copy) {
    const size_t at = copy == Copy::kWeights ? 0 : copy == Copy::kAverage || average_.empty() ? 1 : 2;
    const bool there = copy == Copy::kWeights || !(copy == Copy::kAverage ? average_ : best_).empty();
    return there ? &copies_[at] : nullptr;
  }

  absl::Status AddCopy(bool wanted, std::span<float>* host) {
    if (!wanted) return absl::OkStatus();
    HostCopy& copy = copies_.emplace_back();
    ASSIGN_OR_RETURN(copy.host, kernels::PinnedBlock::Allocate(kDevice, Bytes()));
    *host = {static_cast<float*>(copy.host.data()), static_cast<size_t>(model_->flat_size())};
    return absl::OkStatus();
  }

  absl::Status TakeState(int64_t bytes) {
    ASSIGN_OR_RETURN(hash_, kernels::DeviceBlock::Allocate(
                                kDevice, (1 + kernels::cuda::kHashPartials) * sizeof(uint64_t)));
    ASSIGN_OR_RETURN(state_arena_, engine::DeviceArena::Make(kDevice, bytes));
    size_t number = 0;
    const size_t of_optimizer = copies_.size() - optimizer_state_.size();
    for (; number < of_optimizer; ++number) {
      ASSIGN_OR_RETURN(char* const memory, state_arena_.Take(static_cast<int64_t>(Bytes())));
      copies_[number].device = reinterpret_cast<float*>(memory);
    }
    ASSIGN_OR_RETURN(optimizer_,
                     engine::DeviceOptimizer::Make(spec_.train(), *model_, state_arena_, stream_));
    for (const engine::Optimizer::State& state : optimizer_->state()) copies_[number++].device = state.data;
    return Store();
  }

  const std::shared_ptr<const engine::Model> model_;
  const v1::JobSpec spec_;
  const kernels::LtLibrary* library_ = nullptr;  // null: our own kernels alone
  kernels::DeviceStream stream_;
  kernels::PinnedBlock stats_;
  kernels::DeviceBlock hash_;  // one, and what it is summed from
  std::vector<HostCopy> copies_;
  engine::DeviceArena state_arena_, step_arena_;
  std::unique_ptr<engine::DeviceOptimizer> optimizer_;  // from the first MakeRoom on
  std::unique_ptr<engine::DeviceExecutor> executor_;
  int64_t bytes_ = 0;
  const kernels::Rounding rounding_;
  uint16_t* rounded_ = nullptr;  // in the step's arena; null: products round the weights themselves
  bool rounded_is_current_ = false;
  int64_t rounded_step_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepEngine>> MakeGpuStepEngine(std::shared_ptr<const engine::Model> model,
                                                              const v1::JobSpec& spec) {
  auto engine = std::make_unique<GpuStepEngine>(std::move(model), spec);
  RETURN_IF_ERROR(engine->Start());
  return engine;
}

}  // namespace lockstep
