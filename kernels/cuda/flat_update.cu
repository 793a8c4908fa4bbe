#include "kernels/cuda/flat_update.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/round_pack.h"
#include "kernels/cuda/update_rules.h"

namespace lockstep::kernels::cuda {
namespace {

// each(pack, index within the piece), the block taking part.
template <class Each>
__device__ void ForPiece(const FlatPiece& piece, const Each& each) {
  const int packs = piece.size / 4;
  for (int i = static_cast<int>(threadIdx.x); i < packs; i += kThreads)
    each(PackOf<4>(), piece.offset + 4 * i);
  for (int i = 4 * packs + static_cast<int>(threadIdx.x); i < piece.size; i += kThreads) {
    each(PackOf<1>(), piece.offset + i);
  }
}

__global__ void FlatRegularizeKernel(FlatPieces pieces, float l1, float l2, const float* weights,
                                     float* gradient, double* squares) {
  const FlatPiece piece = pieces.at[blockIdx.x];
  const bool regularized = piece.regularized != 0 && (l1 != 0.0f || l2 != 0.0f);
  double sum = 0;
  if (piece.kind != FlatPiece::kFrozen) {
    ForPiece(piece, [&](auto pack, int64_t at) {
      auto g = Load<pack.kFloats>(gradient + at);
      if (regularized) {
        g = Regularized(l1, l2, g, Load<pack.kFloats>(weights + at));
        Store(gradient + at, g);
      }
      for (int k = 0; k < pack.kFloats; ++k) sum += static_cast<double>(g[k]) * static_cast<double>(g[k]);
    });
  }
  sum = BlockSum<kThreads / kWarp>(sum);
  // A statistic is no gradient, but it must be finite as well.
  if (piece.kind == FlatPiece::kStatistic && isfinite(sum)) sum = 0;
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

__global__ void FlatClipKernel(int count, const double* squares, FlatLimits limits, FlatVerdict* verdict) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) sum += squares[i];
  sum = BlockSum<kThreads / kWarp>(sum);
  if (threadIdx.x != 0) return;
  FlatVerdict out;
  out.norm = static_cast<float>(sqrt(sum));
  out.finite = isfinite(out.norm) ? 1 : 0;
  const double norm = static_cast<double>(out.norm);
  if (limits.norm > 0 && norm > limits.norm) out.clip.scale = static_cast<float>(limits.norm / norm);
  out.clip.limit = limits.value > 0 ? limits.value : INFINITY;
  *verdict = out;
}

// Statistics move towards the batch's; trained pieces are update(pack, index, step number, clip)'s, which
// returns the weights.
template <class Update>
__device__ void UpdatePiece(const FlatPieces& pieces, const FlatVerdict* verdict, const float* gradient,
                            float* weights, const FlatRounded& rounded, const Update& update) {
  const FlatPiece piece = pieces.at[blockIdx.x];
  if (verdict->finite == 0 || piece.kind == FlatPiece::kFrozen) return;
  const Clip clip = verdict->clip;
  ForPiece(piece, [&](auto pack, int64_t at) {
    if (piece.kind == FlatPiece::kMatrix) return;
    Pack<pack.kFloats> to;
    if (piece.kind == FlatPiece::kTrained) {
      to = update(pack, at, piece.step, clip);
    } else {
      const auto from = Load<pack.kFloats>(gradient + at);
      to = Load<pack.kFloats>(weights + at);
      for (int k = 0; k < pack.kFloats; ++k) to[k] += piece.share * (from[k] - to[k]);
      Store(weights + at, to);
    }
    if (rounded.data != nullptr) StoreRounded(rounded.rounding, at, to, rounded.data);
  });
}

__global__ void FlatSgdKernel(FlatPieces pieces, FlatSteps<SgdStep> steps, const FlatVerdict* verdict,
                              const float* gradient, float* momentum, float* weights, FlatRounded rounded) {
  UpdatePiece(
      pieces, verdict, gradient, weights, rounded, [&](auto pack, int64_t at, int step, const Clip& clip) {
        return SgdPack<pack.kFloats>(steps.at[step], clip, gradient + at, momentum + at, weights + at);
      });
}

__global__ void FlatAdamKernel(FlatPieces pieces, FlatSteps<AdamStep> steps, const FlatVerdict* verdict,
                               const float* gradient, float* m, float* v, float* weights,
                               FlatRounded rounded) {
  UpdatePiece(
      pieces, verdict, gradient, weights, rounded, [&](auto pack, int64_t at, int step, const Clip& clip) {
        return AdamPack<pack.kFloats>(steps.at[step], clip, gradient + at, m + at, v + at, weights + at);
      });
}

__global__ void FlatLionKernel(FlatPieces pieces, FlatSteps<LionStep> steps, const FlatVerdict* verdict,
                               const float* gradient, float* m, float* weights, FlatRounded rounded) {
  UpdatePiece(pieces, verdict, gradient, weights, rounded,
              [&](auto pack, int64_t at, int step, const Clip& clip) {
                return LionPack<pack.kFloats>(steps.at[step], clip, gradient + at, m + at, weights + at);
              });
}

__global__ void FlatAdagradKernel(FlatPieces pieces, FlatSteps<AdagradStep> steps, const FlatVerdict* verdict,
                                  const float* gradient, float* sums, float* weights, FlatRounded rounded) {
  UpdatePiece(
      pieces, verdict, gradient, weights, rounded, [&](auto pack, int64_t at, int step, const Clip& clip) {
        return AdagradPack<pack.kFloats>(steps.at[step], clip, gradient + at, sums + at, weights + at);
      });
}

__global__ void FlatRmsPropKernel(FlatPieces pieces, FlatSteps<RmsPropStep> steps, const FlatVerdict* verdict,
                                  const float* gradient, float* squares, float* buffer, float* weights,
                                  FlatRounded rounded) {
  UpdatePiece(pieces, verdict, gradient, weights, rounded,
              [&](auto pack, int64_t at, int step, const Clip& clip) {
                return RmsPropPack<pack.kFloats>(steps.at[step], clip, gradient + at, squares + at,
                                                 buffer + at, weights + at);
              });
}

__global__ void FlatMuonKernel(FlatPieces pieces, float momentum, const FlatVerdict* verdict, float* gradient,
                               float* buffer) {
  const FlatPiece piece = pieces.at[blockIdx.x];
  if (verdict->finite == 0 || piece.kind != FlatPiece::kMatrix) return;
  const Clip clip = verdict->clip;
  ForPiece(piece, [&](auto pack, int64_t at) {
    MuonPack<pack.kFloats>(momentum, clip, gradient + at, buffer + at);
  });
}

__global__ void FlatMoveKernel(int64_t first, int64_t count, bool four, float step, const float* direction,
                               float keep, const FlatVerdict* verdict, float* weights, FlatRounded rounded) {
  if (verdict->finite == 0) return;
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto by = Load<pack.kFloats>(direction + at);
    auto w = Load<pack.kFloats>(weights + at);
    for (int k = 0; k < pack.kFloats; ++k) w[k] = step * by[k] + keep * w[k];
    Store(weights + at, w);
    if (rounded.data != nullptr) StoreRounded(rounded.rounding, first + at, w, rounded.data);
  });
}

__global__ void FlatRoundKernel(FlatPieces pieces, const float* weights, FlatRounded rounded) {
  const FlatPiece piece = pieces.at[blockIdx.x];
  const Rounding rounding = piece.kind == FlatPiece::kFrozen ? Rounding() : rounded.rounding;
  ForPiece(piece, [&](auto pack, int64_t at) {
    StoreRounded(rounding, at, Load<pack.kFloats>(weights + at), rounded.data);
  });
}

__global__ void FlatNormaliseKernel(int64_t count, bool four, const double* squares, double least, float* x) {
  const double norm = sqrt(*squares);
  const float scale = static_cast<float>(1.0 / (norm > least ? norm : least));
  ForPacks(count, four, [=](auto pack, int64_t at) {
    auto from = Load<pack.kFloats>(x + at);
    for (int k = 0; k < pack.kFloats; ++k) from[k] *= scale;
    Store(x + at, from);
  });
}

LaunchAt EachPiece(const char* launcher, const FlatPieces& pieces, Stream stream) {
  return {launcher, static_cast<unsigned>(pieces.count), kThreads, stream};
}

}  // namespace

Launched FlatRegularize(const FlatPieces& pieces, float l1, float l2, const float* weights, float* gradient,
                        double* squares, Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatRegularizeKernel>(EachPiece("FlatRegularize", pieces, stream), pieces, l1, l2, weights,
                                      gradient, squares);
}

Launched FlatClip(const FlatPieces& pieces, const double* squares, const FlatLimits& limits,
                  FlatVerdict* verdict, Stream stream) {
  return Launch<FlatClipKernel>({"FlatClip", 1, kThreads, stream}, pieces.count, squares, limits, verdict);
}

Launched FlatSgd(const FlatPieces& pieces, const FlatSteps<SgdStep>& steps, const FlatVerdict* verdict,
                 const float* gradient, float* momentum, float* weights, const FlatRounded& rounded,
                 Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatSgdKernel>(EachPiece("FlatSgd", pieces, stream), pieces, steps, verdict, gradient,
                               momentum, weights, rounded);
}

Launched FlatAdam(const FlatPieces& pieces, const FlatSteps<AdamStep>& steps, const FlatVerdict* verdict,
                  const float* gradient, float* m, float* v, float* weights, const FlatRounded& rounded,
                  Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatAdamKernel>(EachPiece("FlatAdam", pieces, stream), pieces, steps, verdict, gradient, m, v,
                                weights, rounded);
}

Launched FlatLion(const FlatPieces& pieces, const FlatSteps<LionStep>& steps, const FlatVerdict* verdict,
                  const float* gradient, float* m, float* weights, const FlatRounded& rounded,
                  Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatLionKernel>(EachPiece("FlatLion", pieces, stream), pieces, steps, verdict, gradient, m,
                                weights, rounded);
}

Launched FlatAdagrad(const FlatPieces& pieces, const FlatSteps<AdagradStep>& steps,
                     const FlatVerdict* verdict, const float* gradient, float* sums, float* weights,
                     const FlatRounded& rounded, Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatAdagradKernel>(EachPiece("FlatAdagrad", pieces, stream), pieces, steps, verdict, gradient,
                                   sums, weights, rounded);
}

Launched FlatRmsProp(const FlatPieces& pieces, const FlatSteps<RmsPropStep>& steps,
                     const FlatVerdict* verdict, const float* gradient, float* squares, float* buffer,
                     float* weights, const FlatRounded& rounded, Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatRmsPropKernel>(EachPiece("FlatRmsProp", pieces, stream), pieces, steps, verdict, gradient,
                                   squares, buffer, weights, rounded);
}

Launched FlatMuon(const FlatPieces& pieces, float momentum, const FlatVerdict* verdict, float* gradient,
                  float* buffer, Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatMuonKernel>(EachPiece("FlatMuon", pieces, stream), pieces, momentum, verdict, gradient,
                                buffer);
}

Launched FlatMove(int64_t first, int64_t count, float step, const float* direction, float keep,
                  const FlatVerdict* verdict, float* weights, const FlatRounded& rounded, Stream stream) {
  if (count == 0) return {};
  return Launch<FlatMoveKernel>({"FlatMove", PackBlocks(count), kThreads, stream}, first, count,
                                first % 4 == 0 && FourAtATime(direction, weights), step, direction, keep,
                                verdict, weights, rounded);
}

Launched FlatRound(const FlatPieces& pieces, const float* weights, const FlatRounded& rounded,
                   Stream stream) {
  if (pieces.count == 0) return {};
  return Launch<FlatRoundKernel>(EachPiece("FlatRound", pieces, stream), pieces, weights, rounded);
}

Launched FlatNormalise(int64_t count, const double* squares, double least, float* x, Stream stream) {
  if (count == 0) return {};
  return Launch<FlatNormaliseKernel>({"FlatNormalise", PackBlocks(count), kThreads, stream}, count,
                                     FourAtATime(x), squares, least, x);
}

}  // namespace lockstep::kernels::cuda
