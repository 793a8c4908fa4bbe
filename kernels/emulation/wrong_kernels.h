// Launchers of kernels that are wrong on purpose, and of some that are right, for emulation_test.cc.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::emulation {

enum class Case : int {
  // Right: nothing may be reported.
  kReverse,      // a block's values turned round in shared memory
  kWarpSum,      // shuffles, votes, and __syncwarp between a lane's write and another's read
  kAtomicCount,  // atomics alone on one word
  kDynamicShared,
  kCountedBarrier,
  kPartialMask,  // half a warp meets while the other half does something else
  // Wrong.
  kNoBarrier,
  kNoBarrierBeforeReuse,  // write after read
  kShuffleIsNoBarrier,
  kSyncOfOtherWarp,  // __syncwarp does not order two warps
  kBlocksRace,
  kAtomicAndPlain,
  kDivergentBarrier,
  kOtherBarrier,  // both branches have one
  kReadPastEnd,
  kWritePastEnd,
  kWriteBeforeStart,
  kReadPastShared,
  kWritePastShared,
  kWritePastDynamic,
  kUninitialisedShared,
  kUninitialisedGlobal,
  kSharedOfBlockBefore,  // shared memory does not outlive a block
  kHostMemory,
  kInactiveLane,
  kLaneThatIsNotThere,
  kLaneThatEnded,
  kOtherMask,
  kMisaligned,
  kTooManyThreads,
  kTooMuchShared,
};

// data: 256 floats; other: 256 floats that nobody wrote; counter: 1 int.
Launched RunCase(Case which, const float* data, float* other, int* counter);

}  // namespace lockstep::kernels::emulation
