// exp, tanh and sigmoid as straight-line arithmetic, so that a loop over them vectorises. Multiplications,
// additions and bit operations only: the same bits on every instruction set. After Cephes' single-precision
// functions.
#pragma once

#include <stdint.h>

#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline float FromBits(uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline uint32_t ToBits(float x) { return __builtin_bit_cast(uint32_t, x); }

// 0 below -86.9 (where 2^n nears the denormals), infinity above 88.7; NaN stays NaN.
inline float Exp(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  float y = x < -86.9f ? -86.9f : x;
  y = y > 88.8f ? 88.8f : y;
  const float shifted = y * 1.44269504088896341f + kMagic;
  const float n = shifted - kMagic;
  const float r = (y - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
  // 2^n in two factors: n runs from -125 to 128.
  const uint32_t exponent = ToBits(shifted) - ToBits(kMagic);
  const float scaled = p * FromBits((exponent + 126u) << 23) * 2.0f;
  return x < -86.9f ? 0.0f : scaled;
}

inline float Tanh(float x) {
  const float magnitude = FromBits(ToBits(x) & 0x7fffffffu);
  const float clamped = magnitude > 10.0f ? 10.0f : magnitude;  // tanh(10) rounds to 1
  const float large = 1.0f - 2.0f / (Exp(2.0f * clamped) + 1.0f);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float small = p * z * x + x;
  const float signed_large = FromBits(ToBits(large) | (ToBits(x) & 0x80000000u));
  return magnitude < 0.625f ? small : signed_large;
}

inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
