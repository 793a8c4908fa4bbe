// Multi-head attention (Vaswani et al. 2017), causal or full, with grouped-query heads (Ainslie et al. 2023),
// without a steps x steps matrix: the softmax is taken online over blocks of keys (Milakov & Gimelshein 2018;
// Dao et al. 2022).
//
//   s[i][j]   = scale q[i] . k[j]                      j <= i if causal
//   p[i]      = softmax(s[i]),  y[i] = sum_j p[i][j] v[j],  log_sum[i] = log(sum_j exp(s[i][j]))
//   backward recomputes p = exp(s - log_sum); d[i] = dy[i] . y[i], ds[i][j] = p[i][j] (dy[i] . v[j] - d[i])
//   dq[i] = scale sum_j ds[i][j] k[j],  dk[j] = scale sum_i ds[i][j] q[i],  dv[j] = sum_i p[i][j] dy[i]
//
// Shapes, for each row (sample): q, dq, y, dy (steps, heads, head_width); k, v, dk, dv (steps, key_heads,
// head_width); log_sums (heads, steps). The steps of q, k, v and of their gradients are q_stride, k_stride,
// v_stride floats apart, so that they may lie in one fused buffer; those of y and dy heads * head_width. Rows
// are steps * stride apart.
//
// The work is cut into items: item = row * key_heads + key head, with all query heads of its group. An item
// is computed by one thread, its sums in ascending order of keys (y, dq) or of heads and queries (dk, dv), so
// that bits depend on the item alone. Neither the query's nor the key's block is visible in the result but by
// rounding.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

struct AttentionShape {
  int64_t steps = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;  // divides heads
  int64_t head_width = 0;
  bool causal = true;
  float scale = 1.0f;  // 1 / sqrt(head_width)
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;
};

// Floats of scratch that a thread needs, forward or backward; at a multiple of 16 floats for speed.
inline int64_t AttentionScratch(const AttentionShape& shape) {
  const int64_t steps = (shape.steps + 63) / 64 * 64, width = (shape.head_width + 15) / 16 * 16;
  return 5 * steps * width + 16 * (3 * width + 2 * 128);
}

namespace cpu {
// Items [begin, end).
void AttentionForward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q, const float* k,
                      const float* v, float* y, float* log_sums, float* scratch);
// Writes dq, dk and dv of the items; each may be null where nobody wants it. They may not overlap q, k and v.
void AttentionBackward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q,
                       const float* k, const float* v, const float* y, const float* log_sums, const float* dy,
                       float* dq, float* dk, float* dv, float* scratch);
}  // namespace cpu

}  // namespace lockstep::kernels
