// What cpu/vector.h leaves out: tails narrower than a vector, and reductions of one vector in a fixed order.
#pragma once

#include <string.h>

#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

#if defined(__AVX512F__)
inline Vector Subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
inline Vector Multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
// The second where either is NaN.
inline Vector Larger(Vector a, Vector b) { return _mm512_maskz_max_ps(0xffff, a, b); }
// The first `count` < kLanes floats; the other lanes are zero, their memory is not touched.
inline Vector LoadSome(const float* p, int64_t count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p);
}
inline void StoreSome(float* p, Vector v, int64_t count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
}
#else
#if defined(__AVX2__)
inline Vector Subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
inline Vector Multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
inline Vector Larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
#else
inline Vector Subtract(Vector a, Vector b) { return _mm_sub_ps(a, b); }
inline Vector Multiply(Vector a, Vector b) { return _mm_mul_ps(a, b); }
inline Vector Larger(Vector a, Vector b) { return _mm_max_ps(a, b); }
#endif
inline Vector LoadSome(const float* p, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return Load(lanes);
}
inline void StoreSome(float* p, Vector v, int64_t count) {
  float lanes[kLanes];
  Store(lanes, v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
#endif

// A vector of up to kLanes floats: `count` may exceed kLanes.
inline Vector LoadUpTo(const float* p, int64_t count) {
  return count >= kLanes ? Load(p) : LoadSome(p, count);
}
inline void StoreUpTo(float* p, Vector v, int64_t count) {
  if (count >= kLanes) return Store(p, v);
  StoreSome(p, v, count);
}

// Lane i becomes lane i ^ distance.
template <int kDistance>
inline Vector Exchange(Vector v) {
  using Lanes = int32_t __attribute__((vector_size(kLanes * 4)));
  Lanes lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i ^ kDistance;
  return __builtin_shuffle(v, lane);
}

// Lane i and lane i + half, halving: the same tree of additions each time.
inline float SumOfLanes(Vector v) {
  if constexpr (kLanes > 8) v = Add(v, Exchange<8>(v));
  if constexpr (kLanes > 4) v = Add(v, Exchange<4>(v));
  v = Add(v, Exchange<2>(v));
  v = Add(v, Exchange<1>(v));
  return v[0];
}
inline float LargestLane(Vector v) {
  if constexpr (kLanes > 8) v = Larger(v, Exchange<8>(v));
  if constexpr (kLanes > 4) v = Larger(v, Exchange<4>(v));
  v = Larger(v, Exchange<2>(v));
  v = Larger(v, Exchange<1>(v));
  return v[0];
}

// exp for softmax: x <= 0 or little more. As Exp of math.h, with fused multiply-adds where the processor has
// them (relative error below 2e-7); zero below -87, where 2^n nears the denormals; NaN stays NaN.
inline Vector ExpOfNegative(Vector x) {
  using Bits = int32_t __attribute__((vector_size(kLanes * 4)));
  const Vector magic =
      Splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  const Vector y = Larger(Splat(-87.0f), x);
  const Vector shifted = MultiplyAdd(y, Splat(1.44269504088896341f), magic);
  const Vector n = Subtract(shifted, magic);
  const Vector r = MultiplyAdd(n, Splat(2.12194440e-4f), MultiplyAdd(n, Splat(-0.693359375f), y));
  Vector p = Splat(1.9875691500e-4f);
  p = MultiplyAdd(p, r, Splat(1.3981999507e-3f));
  p = MultiplyAdd(p, r, Splat(8.3334519073e-3f));
  p = MultiplyAdd(p, r, Splat(4.1665795894e-2f));
  p = MultiplyAdd(p, r, Splat(1.6666665459e-1f));
  p = MultiplyAdd(p, r, Splat(5.0000001201e-1f));
  p = Add(MultiplyAdd(p, Multiply(r, r), r), Splat(1.0f));
  const Bits exponent = (Bits)shifted << 23;  // the integer's low bits, moved to the exponent's place
  const Vector scaled = (Vector)((Bits)p + exponent);
  return x < Splat(-87.0f) ? Splat(0.0f) : scaled;
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
