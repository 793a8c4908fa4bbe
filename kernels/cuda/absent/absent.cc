// Linked in place of kernels/cuda where nvcc was not found: every launcher says so.
#include "kernels/cuda/activation.h"
#include "kernels/cuda/adagrad.h"
#include "kernels/cuda/arrange.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/combine.h"
#include "kernels/cuda/convolution.h"
#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/dropout.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/flat_update.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/hash.h"
#include "kernels/cuda/hinge.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/lerp.h"
#include "kernels/cuda/lion.h"
#include "kernels/cuda/muon.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/pool.h"
#include "kernels/cuda/recurrent_cell.h"
#include "kernels/cuda/rmsprop.h"
#include "kernels/cuda/rope.h"
#include "kernels/cuda/round.h"
#include "kernels/cuda/shard_outer.h"
#include "kernels/cuda/squared_error.h"
#include "kernels/cuda/swiglu.h"
#include "kernels/cuda/tree_add.h"
#include "kernels/cuda/update.h"

namespace lockstep::kernels {

absl::Status ToStatus(const Launched& launched) {
  if (launched.ok()) return absl::OkStatus();
  if (launched.error == Launched::kByLibrary) return absl::InternalError(launched.what);
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
Launched AdagradUpdate(const AdagradStep&, const Clip&, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
Launched AddForward(int64_t, const float*, const float*, float*, Stream) { return Absent(); }
Launched CopyBlocks(int64_t, int64_t, const float*, int64_t, bool, float*, int64_t, Stream) {
  return Absent();
}
Launched ZeroBlocks(int64_t, int64_t, float*, int64_t, Stream) { return Absent(); }
Launched Permute(const Permutation&, int64_t, const float*, bool, float*, Stream) { return Absent(); }
Launched AttentionForward(GemmType, const AttentionShape&, int64_t, const float*, const float*, const float*,
                          float*, float*, Stream) {
  return Absent();
}
Launched AttentionBackward(GemmType, const AttentionShape&, int64_t, const float*, const float*, const float*,
                           const float*, const float*, const float*, float*, float*, float*, float*, Stream) {
  return Absent();
}
int64_t BatchNormScratch(int64_t, int64_t) { return 0; }
Launched BatchNormStatistics(int64_t, int64_t, const float*, float*, float*, float*, Stream) {
  return Absent();
}
Launched BatchNormInverse(int64_t, float, const float*, float*, Stream) { return Absent(); }
Launched BatchNormForward(int64_t, int64_t, const BatchNormFactors&, const float*, const float*, bool, float*,
                          Stream) {
  return Absent();
}
Launched BatchNormSums(int64_t, int64_t, const BatchNormFactors&, const float*, const float*, bool, float*,
                       float*, float*, float*, Stream) {
  return Absent();
}
Launched BatchNormInputGradient(int64_t, int64_t, int64_t, const BatchNormFactors&, const float*,
                                const float*, const float*, bool, const float*, bool, float*, Stream) {
  return Absent();
}
Launched Combine(int64_t, float, const float*, float, float*, Stream) { return Absent(); }
int64_t ConvolutionPackedSize(const ConvolutionShape&) { return 0; }
Launched ConvolutionPack(const ConvolutionShape&, bool, const float*, float*, Stream) { return Absent(); }
Launched ConvolutionForward(GemmType, const ConvolutionShape&, int64_t, const float*, const float*, float*,
                            Stream) {
  return Absent();
}
Launched ConvolutionInputGradient(GemmType, const ConvolutionShape&, int64_t, const float*, const float*,
                                  bool, float*, Stream) {
  return Absent();
}
int64_t ConvolutionWeightScratch(const ConvolutionShape&, int, int) { return 0; }
Launched ConvolutionWeightGradient(GemmType, const ConvolutionShape&, const DeviceTree&, const float*,
                                   const float*, float*, int64_t, float*, Stream) {
  return Absent();
}
Launched SoftmaxCrossEntropy(int64_t, int64_t, float, const int32_t*, float*, float*, float*, float, Stream) {
  return Absent();
}
Launched DropoutForward(const DropoutKey&, const int64_t*, double, int64_t, int64_t, const float*, float*,
                        uint8_t*, Stream) {
  return Absent();
}
Launched DropoutBackward(double, int64_t, const uint8_t*, const float*, float*, Stream) { return Absent(); }
Launched EmbeddingForward(int64_t, int64_t, int64_t, const int32_t*, const float*, const float*, float*,
                          Stream) {
  return Absent();
}
Launched EmbeddingBackward(const DeviceTree&, const TokenBuckets&, int64_t, const float*, float*, int64_t,
                           Stream) {
  return Absent();
}
Launched FlatRegularize(const FlatPieces&, float, float, const float*, float*, double*, Stream) {
  return Absent();
}
Launched FlatClip(const FlatPieces&, const double*, const FlatLimits&, FlatVerdict*, Stream) {
  return Absent();
}
Launched FlatSgd(const FlatPieces&, const FlatSteps<SgdStep>&, const FlatVerdict*, const float*, float*,
                 float*, const FlatRounded&, Stream) {
  return Absent();
}
Launched FlatLion(const FlatPieces&, const FlatSteps<LionStep>&, const FlatVerdict*, const float*, float*,
                  float*, const FlatRounded&, Stream) {
  return Absent();
}
Launched FlatAdagrad(const FlatPieces&, const FlatSteps<AdagradStep>&, const FlatVerdict*, const float*,
                     float*, float*, const FlatRounded&, Stream) {
  return Absent();
}
Launched FlatRmsProp(const FlatPieces&, const FlatSteps<RmsPropStep>&, const FlatVerdict*, const float*,
                     float*, float*, float*, const FlatRounded&, Stream) {
  return Absent();
}
Launched FlatMuon(const FlatPieces&, float, const FlatVerdict*, float*, float*, Stream) { return Absent(); }
Launched FlatMove(int64_t, int64_t, float, const float*, float, const FlatVerdict*, float*,
                  const FlatRounded&, Stream) {
  return Absent();
}
Launched FlatRound(const FlatPieces&, const float*, const FlatRounded&, Stream) { return Absent(); }
Launched FlatNormalise(int64_t, const double*, double, float*, Stream) { return Absent(); }
Launched FlatAdam(const FlatPieces&, const FlatSteps<AdamStep>&, const FlatVerdict*, const float*, float*,
                  float*, float*, const FlatRounded&, Stream) {
  return Absent();
}
Launched Gemm(GemmType, const GemmArguments&, Stream) { return Absent(); }
Launched Hinge(int64_t, int64_t, float, const int32_t*, float*, float*, float*, Stream) { return Absent(); }
Launched ChainHash(int64_t, const float*, uint64_t*, uint64_t*, Stream) { return Absent(); }
Launched Lerp(int64_t, float, const float*, float*, Stream) { return Absent(); }
Launched LionUpdate(const LionStep&, const Clip&, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
Launched MuonMomentum(float, const Clip&, int64_t, float*, float*, Stream) { return Absent(); }
Launched LayerNormForward(int64_t, int64_t, float, const float*, const float*, const float*, float*, float*,
                          float*, Stream) {
  return Absent();
}
Launched LayerNormBackward(int64_t, int64_t, const float*, const float*, const float*, const float*,
                           const float*, bool, float*, Stream) {
  return Absent();
}
Launched RmsNormForward(int64_t, int64_t, float, const float*, const float*, float*, float*, Stream) {
  return Absent();
}
Launched RmsNormBackward(int64_t, int64_t, const float*, const float*, const float*, const float*, bool,
                         float*, Stream) {
  return Absent();
}
int64_t NormScratch(const DeviceTree&, int64_t) { return 0; }
Launched NormParameterGradients(const DeviceTree&, int64_t, const float*, const float*, const float*,
                                const float*, float*, float*, int64_t, float*, Stream) {
  return Absent();
}
Launched MaxPoolForward(const PoolShape&, int64_t, const float*, float*, uint8_t*, Stream) {
  return Absent();
}
Launched MaxPoolBackward(const PoolShape&, int64_t, const float*, const uint8_t*, bool, float*, Stream) {
  return Absent();
}
Launched AveragePoolForward(const PoolShape&, int64_t, const float*, float*, Stream) { return Absent(); }
Launched AveragePoolBackward(const PoolShape&, int64_t, const float*, bool, float*, Stream) {
  return Absent();
}
Launched GlobalAveragePoolForward(int64_t, int64_t, int64_t, const float*, float*, Stream) {
  return Absent();
}
Launched GlobalAveragePoolBackward(int64_t, int64_t, int64_t, const float*, bool, float*, Stream) {
  return Absent();
}
Launched LstmCellForward(const RecurrentCell&, int64_t, const float*, const float*, const float*,
                         const float*, float*, float*, float*, Stream) {
  return Absent();
}
Launched LstmCellBackward(const RecurrentCell&, int64_t, const float*, const float*, const float*,
                          const float*, float*, float*, Stream) {
  return Absent();
}
Launched GruCellForward(const RecurrentCell&, int64_t, const float*, const float*, const float*, float*,
                        float*, float*, Stream) {
  return Absent();
}
Launched GruCellBackward(const RecurrentCell&, int64_t, const float*, const float*, const float*, float*,
                         float*, float*, Stream) {
  return Absent();
}
Launched RmsPropUpdate(const RmsPropStep&, const Clip&, int64_t, const float*, float*, float*, float*,
                       Stream) {
  return Absent();
}
Launched RopeForward(const RopeShape&, int64_t, const float*, const float*, float*, Stream) {
  return Absent();
}
Launched RopeBackward(const RopeShape&, int64_t, const float*, const float*, float*, Stream) {
  return Absent();
}
Launched RoundToBf16(int64_t, const float*, uint16_t*, Stream) { return Absent(); }
int64_t ShardOuterScratch(int64_t, int64_t, int) { return 0; }
Launched ShardOuterProduct(GemmType, const DeviceTree&, const OuterProduct&, float*, Stream) {
  return Absent();
}
Launched OuterLeaf(GemmType, int64_t, int64_t, int64_t, const float*, const float*, float*, Stream) {
  return Absent();
}
int64_t ColumnScratch(const DeviceTree&, int64_t) { return 0; }
Launched ShardColumnSum(const DeviceTree&, int64_t, const float*, int64_t, float*, int64_t, float*, Stream) {
  return Absent();
}
Launched SquaredError(int64_t, int64_t, float, const float*, float*, float*, Stream) { return Absent(); }
Launched SwiGluForward(int64_t, const float*, const float*, float*, Stream) { return Absent(); }
Launched SwiGluBackward(int64_t, const float*, const float*, const float*, bool, float*, float*, Stream) {
  return Absent();
}
Launched TreeAddInto(int64_t, const float*, float*, Stream) { return Absent(); }
int64_t RegularizeScratch(int64_t) { return 0; }
Launched Regularize(int64_t, float, float, const float*, float*, double*, double*, Stream) {
  return Absent();
}
Launched SgdUpdate(const SgdStep&, const Clip&, int64_t, const float*, float*, float*, Stream) {
  return Absent();
}
Launched AdamUpdate(const AdamStep&, const Clip&, int64_t, const float*, float*, float*, float*, Stream) {
  return Absent();
}

}  // namespace cuda
}  // namespace lockstep::kernels
