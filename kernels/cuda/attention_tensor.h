// Attention's products on tensor cores, for attention.cu.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/cuda/stream.h"

namespace lockstep::kernels::cuda {

// As AttentionForward and AttentionBackward; `offsets` are dy . y, (rows, heads, steps).
Launched AttentionTensorForward(const AttentionShape& shape, int64_t rows, const float* q, const float* k,
                                const float* v, float* y, float* log_sums, Stream stream);
Launched AttentionTensorBackward(const AttentionShape& shape, int64_t rows, const float* q, const float* k,
                                 const float* v, const float* y, const float* log_sums, const float* dy,
                                 const float* offsets, float* dq, float* dk, float* dv, Stream stream);

}  // namespace lockstep::kernels::cuda
