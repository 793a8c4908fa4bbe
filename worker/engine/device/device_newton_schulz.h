// worker/engine/optimizers/newton_schulz.h on a GPU.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::engine {

// Bytes of scratch for a matrix of this shape; 256-byte aligned.
int64_t DeviceNewtonSchulzScratch(int64_t rows, int64_t columns);

// Queues it; `matrix` (rows, columns) is lost. Where the result will be, (rows, columns), is set: in `matrix`
// or in the scratch.
kernels::Launched DeviceNewtonSchulz(int64_t rows, int64_t columns, float* matrix, char* scratch,
                                     const float** result, kernels::Stream stream);

}  // namespace lockstep::engine
