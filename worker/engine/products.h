// Matrix products that a team computes together: each member takes a rectangle of the result.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace lockstep::engine {

inline kernels::GemmType TypeOf(Precision precision) {
  return precision == Precision::kBf16 ? kernels::GemmType::kBf16 : kernels::GemmType::kFp32;
}

// Floats of scratch for one member; `rows` is the capacity in matrix rows.
int64_t ProductScratch(int64_t rows);

// This member's part of `whole`; `scratch` is the member's own.
void SharedGemm(const Member& member, kernels::GemmType type, const kernels::GemmArguments& whole,
                float* scratch);

// This member's part of the gradient (m, n); `whole` names no part.
void SharedOuterProduct(const Member& member, kernels::GemmType type, const kernels::ShardTree& tree,
                        const kernels::OuterProduct& whole, float* scratch);

}  // namespace lockstep::engine
