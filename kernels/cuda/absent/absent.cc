// Linked in place of kernels/cuda where nvcc was not found: every launcher says so.
#include "kernels/activation.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/tree_add.h"
#include "kernels/update.h"

namespace lockstep::kernels::cuda {
namespace {

absl::Status Absent() {
  return absl::UnimplementedError(
      "this build has no CUDA kernels: nvcc was not found (or LOCKSTEP_CUDA was off) when it was configured");
}

}  // namespace

absl::Status BiasActivationForward(Activation, int64_t, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
absl::Status ActivationBackward(Activation, int64_t, const float*, const float*, float*, Stream) {
  return Absent();
}
absl::Status DropoutForward(const DropoutKey&, double, int64_t, int64_t, const float*, float*, uint8_t*,
                            Stream) {
  return Absent();
}
absl::Status DropoutBackward(double, int64_t, const uint8_t*, const float*, float*, Stream) {
  return Absent();
}
absl::Status SoftmaxCrossEntropy(int64_t, int64_t, float, const int32_t*, float*, float*, float*, Stream) {
  return Absent();
}
absl::Status SgdUpdate(const SgdStep&, const Clip&, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
absl::Status AdamUpdate(const AdamStep&, const Clip&, int64_t, const float*, float*, float*, float*, Stream) {
  return Absent();
}
absl::Status TreeAddInto(int64_t, const float*, float*, Stream) { return Absent(); }

}  // namespace lockstep::kernels::cuda
