// kernels/clip.h as straight-line code, so that a loop over it vectorises.
#pragma once

#include <math.h>

#include "kernels/clip.h"
#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline float Clipped(float g, float scale, float limit) {
  const float scaled = g * scale;
  const float below = scaled > limit ? limit : scaled;
  return below < -limit ? -limit : below;
}

inline float Limit(const Clip& clip) { return clip.limit > 0 ? clip.limit : INFINITY; }

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
