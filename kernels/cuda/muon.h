// Muon's momentum on a GPU: kernels/muon.h says what is computed. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/muon.h"

namespace lockstep::kernels::cuda {

Launched MuonMomentum(float momentum, const Clip& clip, int64_t count, float* gradient, float* buffer,
                      Stream stream);

}  // namespace lockstep::kernels::cuda
