// kernels/clip.h on the device.
#pragma once

#include "kernels/clip.h"
#include "kernels/cuda/launch.h"

namespace lockstep::kernels::cuda {

// "0: none" becomes a limit that nothing exceeds.
inline Clip Explicit(Clip clip) {
  if (!(clip.limit > 0)) clip.limit = INFINITY;
  return clip;
}

// NaN stays NaN. REQUIRES: an explicit limit.
__device__ inline float Clipped(float g, const Clip& clip) {
  const float scaled = g * clip.scale;
  const float below = scaled > clip.limit ? clip.limit : scaled;
  return below < -clip.limit ? -clip.limit : below;
}

}  // namespace lockstep::kernels::cuda
