// Linked in place of kernels/cuda where nvcc was not found: every launcher says so.
#include "kernels/cuda/activation.h"
#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/dropout.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/tree_add.h"
#include "kernels/cuda/update.h"

namespace lockstep::kernels {

absl::Status ToStatus(const Launched& launched) {
  if (launched.ok()) return absl::OkStatus();
  return absl::UnimplementedError(
      "this build has no CUDA kernels: nvcc was not found (or LOCKSTEP_CUDA was off) when it was configured");
}

namespace cuda {
namespace {

constexpr Launched Absent() { return {Launched::kNoCuda, nullptr}; }

}  // namespace

Launched BiasActivationForward(Activation, int64_t, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
Launched ActivationBackward(Activation, int64_t, const float*, const float*, float*, Stream) {
  return Absent();
}
Launched DropoutForward(const DropoutKey&, double, int64_t, int64_t, const float*, float*, uint8_t*, Stream) {
  return Absent();
}
Launched DropoutBackward(double, int64_t, const uint8_t*, const float*, float*, Stream) { return Absent(); }
Launched SoftmaxCrossEntropy(int64_t, int64_t, float, const int32_t*, float*, float*, float*, Stream) {
  return Absent();
}
Launched SgdUpdate(const SgdStep&, const Clip&, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
Launched AdamUpdate(const AdamStep&, const Clip&, int64_t, const float*, float*, float*, float*, Stream) {
  return Absent();
}
Launched TreeAddInto(int64_t, const float*, float*, Stream) { return Absent(); }

}  // namespace cuda
}  // namespace lockstep::kernels
