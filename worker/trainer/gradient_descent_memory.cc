// What GradientDescent takes: told to people, and refused before it starts where it cannot fit.
#include "absl/strings/str_format.h"
#include "spdlog/spdlog.h"
#include "worker/trainer/gradient_descent.h"
#include "worker/trainer/memory.h"

namespace lockstep {
namespace {

constexpr double kMegabyte = 1e6;

}  // namespace

// Weights, this rank's node sums and the whole sum, the optimizer's state, and what early stopping keeps.
int64_t GradientDescent::StateBytes() const {
  const int world = collective_->world();
  const auto nodes = static_cast<int64_t>(MaximalNodes(logical_shards(), shards_).size());
  const auto states = static_cast<int64_t>(optimizer_->state().size());
  const int64_t copies =
      1 + nodes + (world > 1 ? 1 : 0) + states + (best_weights_.empty() ? 0 : 1) + (average_.empty() ? 0 : 1);
  return copies * model_->flat_size() * static_cast<int64_t>(sizeof(float));
}

absl::Status GradientDescent::CheckMemory(const engine::ExecutorOptions& options) const {
  ASSIGN_OR_RETURN(const int64_t activations, engine::ExecutorBytes(*model_, options));
  const int64_t available = AvailableMemory();
  spdlog::info("rank {}: activations take {:.1f} MB, weights, gradients and optimizer {:.1f} MB",
               collective_->rank(), static_cast<double>(activations) / kMegabyte,
               static_cast<double>(StateBytes()) / kMegabyte);
  if (activations <= available) return absl::OkStatus();  // the rest is there already
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the activations of %d rows on this worker take %.0f MB, but %.0f MB of memory are available; use a "
      "smaller "
      "train.batch_size, a larger train.accumulation or more workers",
      options.shards.size() * options.rows_per_shard, static_cast<double>(activations) / kMegabyte,
      static_cast<double>(available) / kMegabyte));
}

v1::ModelSummary GradientDescent::Summary() const {
  v1::ModelSummary summary;
  for (const engine::LayerSummary& layer : model_->Layers()) {
    v1::ModelLayer& out = *summary.add_layers();
    out.set_name(layer.name);
    out.set_kind(layer.kind);
    out.mutable_output_shape()->Assign(layer.output_shape.begin(), layer.output_shape.end());
    out.set_parameters(layer.parameters);
    out.set_forward_flops(layer.flops);
    summary.set_forward_flops(summary.forward_flops() + layer.flops);
  }
  summary.set_parameters(model_->parameter_count());
  summary.set_activation_bytes(executor_->bytes());
  summary.set_state_bytes(StateBytes());
  return summary;
}

}  // namespace lockstep
