// The widest float vector of the instruction set that this file is compiled for.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/cpu/isa.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

// The maskz forms are the plain ones; GCC 12 warns of an uninitialised value inside the plain ones.
#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
using Vector = __m512;
inline Vector Load(const float* p) { return _mm512_loadu_ps(p); }
inline void Store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
inline void Stream(float* p, Vector v) { _mm512_stream_ps(p, v); }  // aligned; past the caches
inline Vector Splat(float x) { return _mm512_set1_ps(x); }
inline Vector Add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
using Words = __m512i;
inline Words SplatWord(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
inline Words LoadWords(const uint32_t* p) { return _mm512_loadu_si512(p); }
inline void StoreWords(uint32_t* p, Words v) { _mm512_storeu_si512(p, v); }
inline Words Xor(Words a, Words b) { return _mm512_xor_si512(a, b); }
inline Words MultiplyEven(Words a, Words b) { return _mm512_maskz_mul_epu32(0xff, a, b); }
inline Words ShiftDown(Words a) { return _mm512_maskz_srli_epi64(0xff, a, 32); }
inline Words ShiftUp(Words a) { return _mm512_maskz_slli_epi64(0xff, a, 32); }
inline Words And(Words a, Words b) { return _mm512_and_si512(a, b); }
inline Words Or(Words a, Words b) { return _mm512_or_si512(a, b); }
inline Words LowHalves() { return _mm512_set1_epi64(0xffffffff); }
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
using Vector = __m256;
inline Vector Load(const float* p) { return _mm256_loadu_ps(p); }
inline void Store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
inline void Stream(float* p, Vector v) { _mm256_stream_ps(p, v); }
inline Vector Splat(float x) { return _mm256_set1_ps(x); }
inline Vector Add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
using Words = __m256i;
inline Words SplatWord(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
inline Words LoadWords(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Words*>(p)); }
inline void StoreWords(uint32_t* p, Words v) { _mm256_storeu_si256(reinterpret_cast<Words*>(p), v); }
inline Words Xor(Words a, Words b) { return _mm256_xor_si256(a, b); }
inline Words MultiplyEven(Words a, Words b) { return _mm256_mul_epu32(a, b); }
inline Words ShiftDown(Words a) { return _mm256_srli_epi64(a, 32); }
inline Words ShiftUp(Words a) { return _mm256_slli_epi64(a, 32); }
inline Words And(Words a, Words b) { return _mm256_and_si256(a, b); }
inline Words Or(Words a, Words b) { return _mm256_or_si256(a, b); }
inline Words LowHalves() { return _mm256_set1_epi64x(0xffffffff); }
#else
inline constexpr int kLanes = 4;
using Vector = __m128;
inline Vector Load(const float* p) { return _mm_loadu_ps(p); }
inline void Store(float* p, Vector v) { _mm_storeu_ps(p, v); }
inline void Stream(float* p, Vector v) { _mm_stream_ps(p, v); }
inline Vector Splat(float x) { return _mm_set1_ps(x); }
inline Vector Add(Vector a, Vector b) { return _mm_add_ps(a, b); }
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
using Words = __m128i;
inline Words SplatWord(uint32_t x) { return _mm_set1_epi32(static_cast<int>(x)); }
inline Words LoadWords(const uint32_t* p) { return _mm_loadu_si128(reinterpret_cast<const Words*>(p)); }
inline void StoreWords(uint32_t* p, Words v) { _mm_storeu_si128(reinterpret_cast<Words*>(p), v); }
inline Words Xor(Words a, Words b) { return _mm_xor_si128(a, b); }
inline Words MultiplyEven(Words a, Words b) { return _mm_mul_epu32(a, b); }
inline Words ShiftDown(Words a) { return _mm_srli_epi64(a, 32); }
inline Words ShiftUp(Words a) { return _mm_slli_epi64(a, 32); }
inline Words And(Words a, Words b) { return _mm_and_si128(a, b); }
inline Words Or(Words a, Words b) { return _mm_or_si128(a, b); }
inline Words LowHalves() { return _mm_set1_epi64x(0xffffffff); }
#endif

// One element of MultiplyAdd: the same bits as in a vector.
inline float MultiplyAdd(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

}  // namespace
}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
