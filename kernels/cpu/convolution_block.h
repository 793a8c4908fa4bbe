// What the convolution kernels share: channels come in chunks of 16, so that a pixel of a copied image is one
// cache line at a constant stride, and output channels in blocks of two vectors.
#pragma once

#include "kernels/convolution.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline constexpr int64_t kChunk = 16;          // input channels, floats of a copied pixel
inline constexpr int64_t kBlock = 2 * kLanes;  // output channels
inline constexpr int64_t kMaxTaps = kMaxConvolutionKernel * kMaxConvolutionKernel;

inline int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Most(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t Quotient(int64_t a, int64_t b) { return (a + b - 1) / b; }  // rounded up; REQUIRES: a >= 0

inline int64_t OutHeight(const ConvolutionShape& s) {
  return (s.height + 2 * s.padding - s.kernel) / s.stride + 1;
}
inline int64_t OutWidth(const ConvolutionShape& s) {
  return (s.width + 2 * s.padding - s.kernel) / s.stride + 1;
}

// Relu: max(x, 0); NaN stays NaN.
#if defined(__AVX512F__)
inline Vector Subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
inline Vector Relu(Vector x) { return _mm512_maskz_max_ps(0xffff, _mm512_setzero_ps(), x); }
#elif defined(__AVX2__)
inline Vector Subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
inline Vector Relu(Vector x) { return _mm256_max_ps(_mm256_setzero_ps(), x); }
#else
inline Vector Subtract(Vector a, Vector b) { return _mm_sub_ps(a, b); }
inline Vector Relu(Vector x) { return _mm_max_ps(_mm_setzero_ps(), x); }
#endif

// `count` floats.
inline void Copy(int64_t count, const float* from, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(to + i, Load(from + i));
  for (; i < count; ++i) to[i] = from[i];
}
inline void Clear(int64_t count, float* to) {
  const Vector zero = Splat(0.0f);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(to + i, zero);
  for (; i < count; ++i) to[i] = 0.0f;
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
