#include "worker/engine/device/device_plan.h"

#include "absl/strings/str_format.h"
#include "worker/engine/device/device_executor.h"
#include "worker/engine/device/device_optimizer.h"

namespace lockstep::engine {
namespace {

std::string Mebibytes(int64_t bytes) {
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

absl::StatusOr<DevicePlan> PlanDevice(const Model& model, const v1::JobSpec& spec,
                                      const ExecutorOptions& options) {
  ASSIGN_OR_RETURN(const DeviceExecutor::Bytes executor, DeviceExecutor::BytesOf(model, options));
  DevicePlan plan;
  plan.activations = executor.activations;
  plan.inputs = executor.inputs;
  plan.node_sums = executor.node_sums;
  if (options.precision == Precision::kBf16) {
    plan.rounded = DeviceAligned(model.flat_size() * int64_t{sizeof(uint16_t)});
  }
  const int copies = 1 + (spec.train().has_ema() ? 1 : 0) + (spec.train().has_early_stopping() ? 1 : 0);
  plan.weights = copies * DeviceAligned(model.flat_size() * int64_t{sizeof(float)});
  ASSIGN_OR_RETURN(plan.optimizer, DeviceOptimizer::BytesOf(spec.train(), model));
  return plan;
}

absl::Status CheckFits(const DevicePlan& plan, const kernels::DeviceProperties& device) {
  if (plan.total() <= device.free) return absl::OkStatus();
  const bool rows = plan.activations + plan.inputs > plan.total() / 2;
  return absl::ResourceExhaustedError(absl::StrCat(
      "the job does not fit the device ", device.name, " (", device.uuid, "): it needs ",
      Mebibytes(plan.total()), ": activations and their gradients ", Mebibytes(plan.activations), ", inputs ",
      Mebibytes(plan.inputs), ", weights ", Mebibytes(plan.weights + plan.rounded), ", gradients ",
      Mebibytes(plan.node_sums), ", optimizer ", Mebibytes(plan.optimizer), "; ", Mebibytes(device.free),
      " of ", Mebibytes(device.memory), " are free. ",
      rows ? "A smaller train.batch_size makes activations smaller; so do more workers."
           : "Weights, gradients and the optimizer's state are the model's: make it smaller, or take an "
             "optimizer with less state (sgd)."));
}

}  // namespace lockstep::engine
