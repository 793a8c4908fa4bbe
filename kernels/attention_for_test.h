// Attention by its definition in float64, with its gradient: what the kernels of every device are held
// against.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/attention.h"

namespace lockstep::kernels {

using Doubles = std::vector<double>;

// q, k, v in one fused buffer (rows, steps, q | k | v), as a GPT has them.
struct AttentionCase {
  AttentionShape shape;
  int64_t rows = 2;

  AttentionCase(int64_t steps, int64_t heads, int64_t key_heads, int64_t width, bool causal) {
    const int64_t stride = (heads + 2 * key_heads) * width;
    shape = {steps,  heads,  key_heads, width, causal, 1.0f / std::sqrt(static_cast<float>(width)),
             stride, stride, stride};
  }
  int64_t q_width() const { return shape.heads * shape.head_width; }
  int64_t k_width() const { return shape.key_heads * shape.head_width; }
  int64_t fused_size() const { return rows * shape.steps * shape.q_stride; }
  int64_t y_size() const { return rows * shape.steps * q_width(); }
  int64_t items() const { return rows * shape.key_heads; }
};

struct AttentionReference {
  Doubles y, log_sums, dfused;
};

// The definition, with its gradient for dy (empty: forward alone).
inline AttentionReference Attend(const AttentionCase& at, const Doubles& fused, const Doubles& dy) {
  const AttentionShape& s = at.shape;
  AttentionReference out{Doubles(at.y_size()), Doubles(at.rows * s.heads * s.steps), Doubles(fused.size())};
  for (int64_t row = 0; row < at.rows; ++row) {
    for (int64_t head = 0; head < s.heads; ++head) {
      const int64_t key_head = head / (s.heads / s.key_heads);
      const auto q = [&](int64_t t) { return (row * s.steps + t) * s.q_stride + head * s.head_width; };
      const auto k = [&](int64_t t) {
        return (row * s.steps + t) * s.q_stride + at.q_width() + key_head * s.head_width;
      };
      const auto v = [&](int64_t t) { return k(t) + at.k_width(); };
      for (int64_t i = 0; i < s.steps; ++i) {
        const int64_t keys = s.causal ? i + 1 : s.steps;
        const int64_t y = ((row * s.steps + i) * s.heads + head) * s.head_width;
        Doubles p(keys);
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t c = 0; c < s.head_width; ++c) p[j] += s.scale * fused[q(i) + c] * fused[k(j) + c];
          sum += std::exp(p[j]);
        }
        out.log_sums[(row * s.heads + head) * s.steps + i] = std::log(sum);
        for (double& value : p) value = std::exp(value) / sum;
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t c = 0; c < s.head_width; ++c) out.y[y + c] += p[j] * fused[v(j) + c];
        }
        if (dy.empty()) continue;
        double offset = 0;
        for (int64_t c = 0; c < s.head_width; ++c) offset += dy[y + c] * out.y[y + c];
        for (int64_t j = 0; j < keys; ++j) {
          double dp = 0;
          for (int64_t c = 0; c < s.head_width; ++c) dp += dy[y + c] * fused[v(j) + c];
          const double ds = p[j] * (dp - offset) * s.scale;
          for (int64_t c = 0; c < s.head_width; ++c) {
            out.dfused[q(i) + c] += ds * fused[k(j) + c];
            out.dfused[k(j) + c] += ds * fused[q(i) + c];
            out.dfused[v(j) + c] += p[j] * dy[y + c];
          }
        }
      }
    }
  }
  return out;
}

}  // namespace lockstep::kernels
