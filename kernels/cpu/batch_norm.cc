#include "kernels/batch_norm.h"

#include <math.h>

#include "kernels/cpu/image_variants.h"
#include "kernels/cpu/vector.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kBlock = 32;  // pixels

int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }

#if defined(__AVX512F__)
Vector WherePositive(Vector z, Vector g) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_GT_OQ), g);
}
Vector Relu(Vector z) { return _mm512_maskz_max_ps(0xffff, _mm512_setzero_ps(), z); }
#elif defined(__AVX2__)
Vector WherePositive(Vector z, Vector g) {
  return _mm256_and_ps(_mm256_cmp_ps(z, _mm256_setzero_ps(), _CMP_GT_OQ), g);
}
Vector Relu(Vector z) { return _mm256_max_ps(_mm256_setzero_ps(), z); }
#else
Vector WherePositive(Vector z, Vector g) { return _mm_and_ps(_mm_cmpgt_ps(z, _mm_setzero_ps()), g); }
Vector Relu(Vector z) { return _mm_max_ps(_mm_setzero_ps(), z); }
#endif

Vector Zero() { return Splat(0.0f); }
Vector Multiply(Vector a, Vector b) { return MultiplyAdd(a, b, Zero()); }

// kVectors vectors of channels from one on, or the few that are left over at the end.
template <int kVectors>
struct Whole {
  static constexpr int kCount = kVectors;
  Vector Get(const float* p, int v) const { return Load(p + v * kLanes); }
  void Put(float* p, int v, Vector x) const { Store(p + v * kLanes, x); }
};
struct Rest {
  static constexpr int kCount = 1;
  int64_t lanes;
  Vector Get(const float* p, int) const {
    float all[kLanes] = {};
    for (int64_t i = 0; i < lanes; ++i) all[i] = p[i];
    return Load(all);
  }
  void Put(float* p, int, Vector x) const {
    float all[kLanes];
    Store(all, x);
    for (int64_t i = 0; i < lanes; ++i) p[i] = all[i];
  }
};

// Calls f(access, first channel) over [begin, end).
template <typename F>
inline __attribute__((always_inline)) void ForChannels(int64_t begin, int64_t end, F f) {
  for (; begin + 4 * kLanes <= end; begin += 4 * kLanes) f(Whole<4>(), begin);
  for (; begin + kLanes <= end; begin += kLanes) f(Whole<1>(), begin);
  if (begin < end) f(Rest{end - begin}, begin);
}

// (x - mean) * (inverse * gamma) + beta
template <class Access>
struct Affine {
  static constexpr int kCount = Access::kCount;
  Vector minus_mean[kCount], scale[kCount], beta[kCount];
  Affine(Access at, const BatchNormFactors& factors, int64_t c) {
    for (int v = 0; v < kCount; ++v) {
      minus_mean[v] = Multiply(Splat(-1.0f), at.Get(factors.mean + c, v));
      scale[v] = Multiply(at.Get(factors.inverse + c, v), at.Get(factors.gamma + c, v));
      beta[v] = at.Get(factors.beta + c, v);
    }
  }
  Vector Centered(Vector x, int v) const { return Add(x, minus_mean[v]); }
  Vector Value(Vector x, int v) const { return MultiplyAdd(Centered(x, v), scale[v], beta[v]); }
};

template <class Access>
void Statistics(Access at, int64_t pixels, int64_t channels, const float* x, float* mean, float* variance) {
  constexpr int kCount = Access::kCount;
  Vector center[kCount], squares[kCount];
  for (int v = 0; v < kCount; ++v) center[v] = squares[v] = Zero();
  for (int64_t first = 0; first < pixels; first += kBlock) {
    const int64_t size = Least(kBlock, pixels - first);
    const float* block = x + first * channels;
    Vector sum[kCount], square[kCount], minus[kCount];
    for (int v = 0; v < kCount; ++v) sum[v] = square[v] = Zero();
    for (int64_t p = 0; p < size; ++p) {
      for (int v = 0; v < kCount; ++v) sum[v] = Add(sum[v], at.Get(block + p * channels, v));
    }
    const Vector share = Splat(-1.0f / static_cast<float>(size));
    for (int v = 0; v < kCount; ++v) minus[v] = Multiply(share, sum[v]);
    for (int64_t p = 0; p < size; ++p) {
      for (int v = 0; v < kCount; ++v) {
        const Vector centered = Add(at.Get(block + p * channels, v), minus[v]);
        square[v] = MultiplyAdd(centered, centered, square[v]);
      }
    }
    // Merge n = first pixels with `size` more.
    const float part = static_cast<float>(size) / static_cast<float>(first + size);
    const Vector move = Splat(-part), spread = Splat(part * static_cast<float>(first));
    for (int v = 0; v < kCount; ++v) {
      const Vector delta = Add(center[v], minus[v]);  // mean so far - mean of the block
      center[v] = MultiplyAdd(delta, move, center[v]);
      squares[v] = MultiplyAdd(Multiply(delta, delta), spread, Add(squares[v], square[v]));
    }
  }
  const Vector divide = Splat(pixels > 0 ? 1.0f / static_cast<float>(pixels) : 0.0f);
  for (int v = 0; v < kCount; ++v) {
    at.Put(mean, v, center[v]);
    at.Put(variance, v, Multiply(squares[v], divide));
  }
}

template <bool kRelu, bool kMask, class Access>
void Sums(Access at, int64_t pixels, int64_t channels, const Affine<Access>& affine, const float* x,
          const float* y, float* dy, Vector* gamma_sum, Vector* beta_sum) {
  constexpr int kCount = Access::kCount;
  Vector products[kCount], plain[kCount];
  for (int v = 0; v < kCount; ++v) products[v] = plain[v] = Zero();
  for (int64_t first = 0; first < pixels; first += kBlock) {
    const int64_t size = Least(kBlock, pixels - first);
    Vector product[kCount], sum[kCount];
    for (int v = 0; v < kCount; ++v) product[v] = sum[v] = Zero();
    for (int64_t p = first * channels; p < (first + size) * channels; p += channels) {
      for (int v = 0; v < kCount; ++v) {
        const Vector input = at.Get(x + p, v);
        Vector g = at.Get(dy + p, v);
        if (kMask) {
          g = WherePositive(at.Get(y + p, v), g);
          at.Put(dy + p, v, g);
        } else if (kRelu) {
          g = WherePositive(affine.Value(input, v), g);
        }
        sum[v] = Add(sum[v], g);
        product[v] = MultiplyAdd(affine.Centered(input, v), g, product[v]);
      }
    }
    for (int v = 0; v < kCount; ++v) {
      products[v] = Add(products[v], product[v]);
      plain[v] = Add(plain[v], sum[v]);
    }
  }
  for (int v = 0; v < kCount; ++v) gamma_sum[v] = products[v], beta_sum[v] = plain[v];
}

}  // namespace

void BatchNormStatistics(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                         float* mean, float* variance) {
  ForChannels(begin, end,
              [&](auto at, int64_t c) { Statistics(at, pixels, channels, x + c, mean + c, variance + c); });
}

void BatchNormInverse(int64_t channels, float epsilon, const float* variance, float* inverse) {
  for (int64_t c = 0; c < channels; ++c) inverse[c] = 1.0f / sqrtf(variance[c] + epsilon);
}

void BatchNormForward(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                      const float* residual, bool relu, float* y) {
  ForChannels(0, channels, [&](auto at, int64_t c) {
    const Affine<decltype(at)> affine(at, factors, c);
    for (int64_t p = c; p < pixels * channels; p += channels) {
      for (int v = 0; v < at.kCount; ++v) {
        Vector z = affine.Value(at.Get(x + p, v), v);
        if (residual != nullptr) z = Add(z, at.Get(residual + p, v));
        if (relu) z = Relu(z);
        at.Put(y + p, v, z);
      }
    }
  });
}

void BatchNormSums(int64_t pixels, int64_t channels, int64_t begin, int64_t end,
                   const BatchNormFactors& factors, const float* x, const float* y, bool relu, float* dy,
                   float* dgamma, float* dbeta) {
  ForChannels(begin, end, [&](auto at, int64_t c) {
    using Access = decltype(at);
    const Affine<Access> affine(at, factors, c);
    Vector products[Access::kCount], plain[Access::kCount];
    if (y != nullptr) {
      Sums<true, true>(at, pixels, channels, affine, x + c, y + c, dy + c, products, plain);
    } else if (relu) {
      Sums<true, false>(at, pixels, channels, affine, x + c, nullptr, dy + c, products, plain);
    } else {
      Sums<false, false>(at, pixels, channels, affine, x + c, nullptr, dy + c, products, plain);
    }
    for (int v = 0; v < Access::kCount; ++v) {
      at.Put(dgamma + c, v, Multiply(products[v], at.Get(factors.inverse + c, v)));
      at.Put(dbeta + c, v, plain[v]);
    }
  });
}

void BatchNormInputGradient(int64_t count, int64_t pixels, int64_t channels, const BatchNormFactors& factors,
                            const float* dgamma, const float* dbeta, const float* x, bool relu,
                            const float* dy, bool add, float* dx) {
  const Vector share = Splat(-1.0f / static_cast<float>(count));
  ForChannels(0, channels, [&](auto at, int64_t c) {
    using Access = decltype(at);
    const Affine<Access> affine(at, factors, c);
    // dx = scale * g + (x - mean) * slope + shift
    Vector slope[Access::kCount], shift[Access::kCount];
    for (int v = 0; v < Access::kCount; ++v) {
      const Vector scaled = Multiply(affine.scale[v], share);
      shift[v] = Multiply(scaled, at.Get(dbeta + c, v));
      slope[v] = Multiply(Multiply(scaled, at.Get(factors.inverse + c, v)), at.Get(dgamma + c, v));
    }
    for (int64_t p = c; p < pixels * channels; p += channels) {
      for (int v = 0; v < Access::kCount; ++v) {
        const Vector input = at.Get(x + p, v);
        Vector g = at.Get(dy + p, v);
        if (relu) g = WherePositive(affine.Value(input, v), g);
        Vector gradient =
            MultiplyAdd(affine.scale[v], g, MultiplyAdd(affine.Centered(input, v), slope[v], shift[v]));
        if (add) gradient = Add(at.Get(dx + p, v), gradient);
        at.Put(dx + p, v, gradient);
      }
    }
  });
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
