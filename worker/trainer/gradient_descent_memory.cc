// What GradientDescent takes: told to people, and refused before it starts where it cannot fit.
#include "spdlog/spdlog.h"
#include "worker/trainer/gradient_descent.h"
#include "worker/trainer/memory.h"

namespace lockstep {

// Weights, the optimizer's state and what early stopping keeps; this rank's node sums; and
// the copy of what this rank writes of a checkpoint.
int64_t GradientDescent::StateBytes() const {
  const auto nodes = static_cast<int64_t>(MaximalNodes(logical_shards(), shards_).size());
  const auto states = static_cast<int64_t>(engine_->optimizer_state().size());
  const int64_t copies =
      1 + states + (engine_->best().empty() ? 0 : 1) + (engine_->average().empty() ? 0 : 1) + nodes;
  const std::vector<Saved> saved = SavedBesideTheWeights();
  const Shares shares = SharesOf(saved, collective_->world());
  const bool first = collective_->rank() == 0;  // which writes all of it when the job pauses
  int64_t copied = first ? model_->flat_size() : 0;
  for (size_t i = 0; i < saved.size(); ++i) {
    if (first || shares.owner[i] == collective_->rank()) copied += saved[i].parameter->size;
  }
  return (copies * model_->flat_size() + copied) * static_cast<int64_t>(sizeof(float));
}

absl::Status GradientDescent::CheckMemory(const engine::ExecutorOptions& options) const {
  MemoryNeed need;
  need.rows = int64_t{options.shards.size()} * options.rows_per_shard;
  ASSIGN_OR_RETURN(need.activations, engine_->HostBytes(options));
  need.state = StateBytes();
  // The kernel hands out pages as they are written: until the first step only the weights' are.
  const int64_t written = 1 + (engine_->best().empty() ? 0 : 1) + (engine_->average().empty() ? 0 : 1);
  need.resident = step_ > 0 ? need.state : written * model_->flat_size() * int64_t{sizeof(float)};
  spdlog::info("rank {}: activations take {:.1f} MB, weights, gradients, optimizer and checkpoint {:.1f} MB",
               collective_->rank(), static_cast<double>(need.activations) / kMegabyte,
               static_cast<double>(need.state) / kMegabyte);
  return CheckFits(need, AvailableMemory());
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
  summary.set_activation_bytes(engine_->bytes());
  summary.set_state_bytes(StateBytes());
  return summary;
}

}  // namespace lockstep
