// Matrix products on a GPU: kernels/gemm.h says what is computed, in fp32. Each element is one chain of fused
// multiply-adds over k, as on a processor that has them, and so has the same bits as there: they depend
// neither on the rows beside it nor on the tiles. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/gemm.h"

namespace lockstep::kernels::cuda {

// The operands are device memory; c overlaps neither a nor b.
Launched Gemm(const GemmArguments& product, Stream stream);

}  // namespace lockstep::kernels::cuda
