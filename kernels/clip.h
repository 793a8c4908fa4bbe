// Clipping of a gradient's element, as every update applies it: g' = clamp(g * scale, -limit, limit).
#pragma once

namespace lockstep::kernels {

struct Clip {
  float scale = 1;
  float limit = 0;  // 0: none
};

}  // namespace lockstep::kernels
