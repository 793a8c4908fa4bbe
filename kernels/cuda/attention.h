// Attention on a GPU: kernels/attention.h says what is computed, here by blocks of 64 queries or keys in
// float32, without atomics: y and dq are summed in ascending order of keys, dk and dv of heads and queries,
// so that a sample's bits depend on it alone. In bf16 (sm_80 and later) all five products run on tensor
// cores: q, k, v, dy, p and ds are rounded to bfloat16, softmax and sums are float32. On an error nothing, or
// not all, was queued.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/cuda/stream.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cuda {

inline constexpr int64_t kMaxHeadWidth = 128;  // wider heads are refused

// Of `rows` samples, all heads.
Launched AttentionForward(GemmType type, const AttentionShape& shape, int64_t rows, const float* q,
                          const float* k, const float* v, float* y, float* log_sums, Stream stream);

// dq, dk and dv may each be null where nobody wants it; they may not overlap q, k and v. `offsets`: rows *
// heads * steps floats of scratch.
Launched AttentionBackward(GemmType type, const AttentionShape& shape, int64_t rows, const float* q,
                           const float* k, const float* v, const float* y, const float* log_sums,
                           const float* dy, float* dq, float* dk, float* dv, float* offsets, Stream stream);

}  // namespace lockstep::kernels::cuda
