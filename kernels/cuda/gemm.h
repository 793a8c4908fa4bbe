// Matrix products on a GPU: kernels/gemm.h says what is computed. In fp32 each element is one chain of fused
// multiply-adds over k, as on a processor that has them, and so has the same bits as there. In bf16 (sm_80
// and later) it is one chain of tensor core instructions, 16 products each, whose bits
// are the device model's own. Either way they depend neither on the rows beside it nor on the tiles. On an
// error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cuda {

// The operands are device memory; c overlaps neither a nor b.
Launched Gemm(GemmType type, const GemmArguments& product, Stream stream);

}  // namespace lockstep::kernels::cuda
