#include "kernels/norm.h"

#include <math.h>

#include "kernels/cpu/tree_sum.h"
#include "kernels/cpu/variants.h"
#include "kernels/cpu/vector_math.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int kChains = 4;  // independent sums: enough to hide the latency of an addition

// sum over the row of term(i): f takes a vector's position and length.
template <class Term>
inline float RowSum(int64_t width, const Term& term) {
  Vector sum[kChains];
  for (auto& chain : sum) chain = Splat(0.0f);
  int64_t c = 0;
  for (; c + kChains * kLanes <= width; c += kChains * kLanes) {
    for (int j = 0; j < kChains; ++j) sum[j] = Add(sum[j], term(c + j * kLanes, int64_t{kLanes}));
  }
  for (int j = 0; c < width; c += kLanes, ++j) sum[j] = Add(sum[j], term(c, width - c));
  return SumOfLanes(Add(Add(sum[0], sum[2]), Add(sum[1], sum[3])));
}

// As RowSum, of two terms at once.
template <class Term>
inline void RowSums(int64_t width, const Term& term, float* first, float* second) {
  Vector a[2] = {Splat(0.0f), Splat(0.0f)}, b[2] = {Splat(0.0f), Splat(0.0f)};
  int64_t c = 0;
  for (; c + 2 * kLanes <= width; c += 2 * kLanes) {
    for (int j = 0; j < 2; ++j) term(c + j * kLanes, int64_t{kLanes}, a[j], b[j]);
  }
  for (int j = 0; c < width; c += kLanes, ++j) term(c, width - c, a[j], b[j]);
  *first = SumOfLanes(Add(a[0], a[1]));
  *second = SumOfLanes(Add(b[0], b[1]));
}

// `value` for each vector of a row, last one narrower.
template <class Value>
inline void ForRow(int64_t width, float* out, const Value& value) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) Store(out + c, value(c, int64_t{kLanes}));
  if (c < width) StoreSome(out + c, value(c, width - c), width - c);
}

// Lanes beyond the row are zero; so is their deviation, whatever the mean.
inline Vector Deviation(const float* x, int64_t count, float mean) {
  if (count >= kLanes) return Subtract(Load(x), Splat(mean));
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = x[i] - mean;
  return Load(lanes);
}

template <bool kCentred>
void Forward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
             const float* x, float* y, float* means, float* rstds) {
  for (int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float mean = 0.0f;
    if (kCentred) {
      mean =
          RowSum(width, [x](int64_t c, int64_t n) { return LoadUpTo(x + c, n); }) / static_cast<float>(width);
      means[r] = mean;
    }
    const float squares = RowSum(width, [x, mean](int64_t c, int64_t n) {
      const Vector d = kCentred ? Deviation(x + c, n, mean) : LoadUpTo(x + c, n);
      return Multiply(d, d);
    });
    const float rstd = 1.0f / sqrtf(squares / static_cast<float>(width) + epsilon);
    rstds[r] = rstd;
    ForRow(width, y, [=](int64_t c, int64_t n) {
      const Vector d = kCentred ? Subtract(LoadUpTo(x + c, n), Splat(mean)) : LoadUpTo(x + c, n);
      const Vector scaled = Multiply(Multiply(d, Splat(rstd)), LoadUpTo(gamma + c, n));
      return beta == nullptr ? scaled : Add(scaled, LoadUpTo(beta + c, n));
    });
  }
}

template <bool kCentred>
void Backward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* means,
              const float* rstds, const float* dy, bool add, float* dx) {
  for (int64_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
    const float mean = kCentred ? means[r] : 0.0f, rstd = rstds[r];
    const auto normal = [=](int64_t c, int64_t n) {
      const Vector d = kCentred ? Subtract(LoadUpTo(x + c, n), Splat(mean)) : LoadUpTo(x + c, n);
      return Multiply(d, Splat(rstd));
    };
    float sum = 0.0f, product = 0.0f;
    RowSums(
        width,
        [=](int64_t c, int64_t n, Vector& a, Vector& b) {
          const Vector g = Multiply(LoadUpTo(dy + c, n), LoadUpTo(gamma + c, n));
          if (kCentred) a = Add(a, g);
          b = MultiplyAdd(g, normal(c, n), b);
        },
        &sum, &product);
    const Vector centre = Splat(sum / static_cast<float>(width));
    const Vector slope = Splat(product / static_cast<float>(width));
    ForRow(width, dx, [=](int64_t c, int64_t n) {
      Vector g = Multiply(LoadUpTo(dy + c, n), LoadUpTo(gamma + c, n));
      if (kCentred) g = Subtract(g, centre);
      const Vector value = Multiply(Subtract(g, Multiply(normal(c, n), slope)), Splat(rstd));
      return add ? Add(LoadUpTo(dx + c, n), value) : value;
    });
  }
}

}  // namespace

void LayerNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
                      const float* x, float* y, float* mean, float* rstd) {
  Forward<true>(rows, width, epsilon, gamma, beta, x, y, mean, rstd);
}
void LayerNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                       const float* rstd, const float* dy, bool add, float* dx) {
  Backward<true>(rows, width, gamma, x, mean, rstd, dy, add, dx);
}
void RmsNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* x, float* y,
                    float* rstd) {
  Forward<false>(rows, width, epsilon, gamma, nullptr, x, y, nullptr, rstd);
}
void RmsNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* rstd,
                     const float* dy, bool add, float* dx) {
  Backward<false>(rows, width, gamma, x, nullptr, rstd, dy, add, dx);
}

void NormParameterGradients(const ShardTree& tree, int64_t width, int64_t begin, int64_t end, const float* x,
                            const float* mean, const float* rstd, const float* dy, float* dgamma,
                            float* dbeta, int64_t node_stride) {
  constexpr int kVectors = 2;
  for (int64_t c = begin; c < end; c += kVectors * kLanes) {
    const int64_t left = end - c;
    SumOverTree<2 * kVectors>(
        tree,
        [=, &tree](int shard, Vector* sum) {
          for (int i = 0; i < 2 * kVectors; ++i) sum[i] = Splat(0.0f);
          const int64_t first = tree.first(shard);
          for (int64_t r = first; r < first + tree.count(shard); ++r) {
            const Vector centre = Splat(mean == nullptr ? 0.0f : mean[r]), scale = Splat(rstd[r]);
            for (int v = 0; v < kVectors && v * kLanes < left; ++v) {
              const int64_t at = r * width + c + v * kLanes, n = left - v * kLanes;
              const Vector g = LoadUpTo(dy + at, n);
              const Vector normal = Multiply(Subtract(LoadUpTo(x + at, n), centre), scale);
              sum[2 * v] = MultiplyAdd(g, normal, sum[2 * v]);
              sum[2 * v + 1] = Add(sum[2 * v + 1], g);
            }
          }
        },
        [=](int node, const Vector* sum) {
          for (int v = 0; v < kVectors && v * kLanes < left; ++v) {
            const int64_t at = node * node_stride + c + v * kLanes, n = left - v * kLanes;
            StoreUpTo(dgamma + at, sum[2 * v], n);
            if (dbeta != nullptr) StoreUpTo(dbeta + at, sum[2 * v + 1], n);
          }
        });
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
