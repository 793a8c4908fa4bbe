#include "kernels/cuda/launch.h"
#include "kernels/emulation/wrong_kernels.h"

namespace lockstep::kernels::emulation {
namespace {

using cuda::kAllLanes;
using cuda::Launch;

// Every case is 2 blocks of 64 threads. Thread 5 or its warp is the culprit where there is one.
constexpr int kBlock = 64;
constexpr int kFloats = 256;

__device__ int Global() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

template <bool kBarrier, bool kSecond>
__global__ void ReverseKernel(const float* data, float* out) {
  LOCKSTEP_SHARED(values, float[kBlock]);
  const int t = static_cast<int>(threadIdx.x);
  values[t] = data[Global()];
  if (kBarrier) __syncthreads();
  out[Global()] = values[kBlock - 1 - t];
  if (!kSecond) return;
  if (t == 5) values[kBlock - 1] = 1;
}

template <bool kBarrier>
__global__ void WarpKernel(const float* data, float* out) {
  LOCKSTEP_SHARED(values, float[kBlock]);
  const int t = static_cast<int>(threadIdx.x), lane = t % 32;
  float sum = data[Global()];
  for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(kAllLanes, sum, half);
  if (lane == 0) values[t] = sum;
  if (kBarrier) {
    __syncwarp();
  } else {
    sum = __shfl_down_sync(kAllLanes, sum, 1);
  }
  const bool every = __all_sync(kAllLanes, lane < 32) && __ballot_sync(kAllLanes, lane > 30) == 0x80000000u;
  out[Global()] = every ? values[t / 32 * 32] : 0.0f;
}

template <bool kPlain>
__global__ void CountKernel(int* counter) {
  if (kPlain && threadIdx.x == 5) {
    *counter = 1;
    return;
  }
  atomicAdd(counter, 1);
}

__global__ void DynamicKernel(int beyond, const float* data, float* out) {
  LOCKSTEP_DYNAMIC_SHARED(values, float);
  const int t = static_cast<int>(threadIdx.x);
  values[t == 5 ? t + beyond : t] = data[Global()];
  __syncthreads();
  out[Global()] = values[t ^ 1];
}

__global__ void VoteKernel(float* out) {
  const int odd = static_cast<int>(threadIdx.x % 2);
  const int count = __syncthreads_count(odd), any = __syncthreads_or(odd), all = __syncthreads_and(odd);
  out[Global()] = static_cast<float>(count + any + all);
}

__global__ void HalfKernel(const float* data, float* out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  float value = data[Global()];
  if (lane < 16) value += __shfl_xor_sync(0x0000ffffu, value, 8);
  out[Global()] = value;
}

__global__ void OtherWarpKernel(const float* data, float* out) {
  LOCKSTEP_SHARED(values, float[kBlock]);
  const int t = static_cast<int>(threadIdx.x);
  values[t] = data[Global()];
  __syncwarp();
  out[Global()] = values[t ^ 32];
}

__global__ void SameWordKernel(float* out) {
  if (threadIdx.x == 5) out[0] = static_cast<float>(blockIdx.x);
}

template <bool kBoth>
__global__ void BranchKernel(float* out) {
  if (threadIdx.x == 5) {
    if (kBoth) __syncthreads();
  } else {
    __syncthreads();
  }
  out[Global()] = 1;
}

template <bool kWrite>
__global__ void IndexKernel(int culprit, const float* data, float* out) {
  const int at = threadIdx.x == 5 ? culprit : Global();
  if (kWrite) {
    out[at] = 1;
  } else {
    out[Global()] = data[at];
  }
}

template <bool kWrite>
__global__ void SharedIndexKernel(int culprit, float* out) {
  LOCKSTEP_SHARED(values, float[kBlock]);
  const int t = static_cast<int>(threadIdx.x);
  float* const at = values;
  at[kWrite && t == 5 ? culprit : t] = 1;
  __syncthreads();
  out[Global()] = at[!kWrite && t == 5 ? culprit : t];
}

__global__ void UnwrittenSharedKernel(bool by_first_block, const float* data, float* out) {
  LOCKSTEP_SHARED(values, float[kBlock]);
  const int t = static_cast<int>(threadIdx.x);
  if (by_first_block ? blockIdx.x == 0 : t != 5) values[t] = data[Global()];
  __syncthreads();
  out[Global()] = values[t];
}

__global__ void CopyKernel(const float* data, float* out) { out[Global()] = data[Global()]; }

__global__ void ShuffleKernel(unsigned mask, int source, int last, float* out) {
  const int t = static_cast<int>(threadIdx.x);
  float value = 1;
  if (t < last && (mask >> (t % 32) & 1) != 0) value = __shfl_sync(mask, value, source);
  out[Global()] = value;
}

__global__ void TwoMasksKernel(float* out) {
  const unsigned mask = threadIdx.x == 5 ? 0x0000ffffu : kAllLanes;
  out[Global()] = __shfl_xor_sync(mask, 1.0f, 1);
}

__global__ void VectorKernel(int offset, const float* data, float* out) {
  const float4 four = *reinterpret_cast<const float4*>(data + offset);
  out[Global()] = four.x + four.y + four.z + four.w;
}

}  // namespace

Launched RunCase(Case which, const float* data, float* other, int* counter) {
  const cuda::LaunchAt at{"RunCase", 2, kBlock, nullptr};
  const cuda::LaunchAt dynamic{"RunCase", 2, kBlock, nullptr, kBlock * sizeof(float)};
  const float on_host[kFloats] = {};
  switch (which) {
    case Case::kReverse:
      return Launch<ReverseKernel<true, false>>(at, data, other);
    case Case::kWarpSum:
      return Launch<WarpKernel<true>>(at, data, other);
    case Case::kAtomicCount:
      return Launch<CountKernel<false>>(at, counter);
    case Case::kDynamicShared:
      return Launch<DynamicKernel>(dynamic, 0, data, other);
    case Case::kCountedBarrier:
      return Launch<VoteKernel>(at, other);
    case Case::kPartialMask:
      return Launch<HalfKernel>(at, data, other);
    case Case::kNoBarrier:
      return Launch<ReverseKernel<false, false>>(at, data, other);
    case Case::kNoBarrierBeforeReuse:
      return Launch<ReverseKernel<true, true>>(at, data, other);
    case Case::kShuffleIsNoBarrier:
      return Launch<WarpKernel<false>>(at, data, other);
    case Case::kSyncOfOtherWarp:
      return Launch<OtherWarpKernel>(at, data, other);
    case Case::kBlocksRace:
      return Launch<SameWordKernel>(at, other);
    case Case::kAtomicAndPlain:
      return Launch<CountKernel<true>>(at, counter);
    case Case::kDivergentBarrier:
      return Launch<BranchKernel<false>>(at, other);
    case Case::kOtherBarrier:
      return Launch<BranchKernel<true>>(at, other);
    case Case::kReadPastEnd:
      return Launch<IndexKernel<false>>(at, kFloats, data, other);
    case Case::kWritePastEnd:
      return Launch<IndexKernel<true>>(at, kFloats, data, other);
    case Case::kWriteBeforeStart:
      return Launch<IndexKernel<true>>(at, -1, data, other);
    case Case::kReadPastShared:
      return Launch<SharedIndexKernel<false>>(at, kBlock, other);
    case Case::kWritePastShared:
      return Launch<SharedIndexKernel<true>>(at, kBlock + 3, other);
    case Case::kWritePastDynamic:
      return Launch<DynamicKernel>(dynamic, kBlock, data, other);
    case Case::kUninitialisedShared:
      return Launch<UnwrittenSharedKernel>(at, false, data, other);
    case Case::kUninitialisedGlobal:
      return Launch<CopyKernel>(at, static_cast<const float*>(other), other);
    case Case::kSharedOfBlockBefore:
      return Launch<UnwrittenSharedKernel>(at, true, data, other);
    case Case::kHostMemory:
      return Launch<CopyKernel>(at, &on_host[0], other);
    case Case::kInactiveLane:
      return Launch<ShuffleKernel>(at, 0x0000ffffu, 20, kBlock, other);
    case Case::kLaneThatIsNotThere:
      return Launch<ShuffleKernel>({"RunCase", 1, 40, nullptr}, kAllLanes, 3, 40, other);
    case Case::kLaneThatEnded:
      return Launch<ShuffleKernel>(at, kAllLanes, 3, 60, other);
    case Case::kOtherMask:
      return Launch<TwoMasksKernel>(at, other);
    case Case::kMisaligned:
      return Launch<VectorKernel>(at, 1, data, other);
    case Case::kTooManyThreads:
      return Launch<CopyKernel>({"RunCase", 1, 1025, nullptr}, data, other);
    case Case::kTooMuchShared:
      return Launch<CopyKernel>({"RunCase", 1, kBlock, nullptr, 200 * 1024}, data, other);
  }
  return {};
}

}  // namespace lockstep::kernels::emulation
