#include "kernels/attention.h"

#include <math.h>
#include <string.h>
#include <xmmintrin.h>

#include "kernels/cpu/small_product.h"
#include "kernels/cpu/variants.h"
#include "kernels/cpu/vector_math.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr int64_t kQueries = 16;                    // rows of a block
constexpr int64_t kKeys = 128;                      // columns of a block: scores stay in the first cache
constexpr int64_t kPanel = kSmallColumns * kLanes;  // keys side by side in a transposed panel
constexpr int64_t kStep = kLanes > 8 ? kLanes : 8;

int64_t RoundUp(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

// The pieces of a thread's scratch.
class Arena {
 public:
  explicit Arena(float* start) : next_(start) {}
  float* Take(int64_t floats) {
    float* taken = next_;
    next_ += floats;
    return taken;
  }

 private:
  float* next_;
};

// `steps` rows of `width` floats to panels of kPanel columns: out[step / kPanel][column][step % kPanel]. The
// last panel is filled up with zeros.
void PackPanels(int64_t steps, int64_t width, const float* in, int64_t stride, float* out) {
  for (int64_t first = 0; first < steps; first += kPanel, out += width * kPanel) {
    const int64_t count = steps - first < kPanel ? steps - first : kPanel;
    const float* from = in + first * stride;
    if (count < kPanel) memset(out, 0, static_cast<size_t>(width * kPanel) * sizeof(float));
    int64_t c = 0;
    for (; c + 4 <= width; c += 4) {
      int64_t s = 0;
      for (; s + 4 <= count; s += 4) {
        const float* square = from + s * stride + c;
        __m128 row0 = _mm_loadu_ps(square), row1 = _mm_loadu_ps(square + stride);
        __m128 row2 = _mm_loadu_ps(square + 2 * stride), row3 = _mm_loadu_ps(square + 3 * stride);
        _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
        float* to = out + c * kPanel + s;
        _mm_storeu_ps(to, row0);
        _mm_storeu_ps(to + kPanel, row1);
        _mm_storeu_ps(to + 2 * kPanel, row2);
        _mm_storeu_ps(to + 3 * kPanel, row3);
      }
      for (; s < count; ++s) {
        for (int64_t i = c; i < c + 4; ++i) out[i * kPanel + s] = from[s * stride + i];
      }
    }
    for (; c < width; ++c) {
      for (int64_t s = 0; s < count; ++s) out[c * kPanel + s] = from[s * stride + c];
    }
  }
}

// `steps` rows of `width` floats, times `factor`, to rows of `padded` floats; zeros fill each row.
void PackRows(int64_t steps, int64_t width, const float* in, int64_t stride, float factor, int64_t padded,
              float* out) {
  const Vector scale = Splat(factor);
  for (int64_t s = 0; s < steps; ++s, in += stride, out += padded) {
    for (int64_t c = 0; c < padded; c += kLanes) {
      Store(out + c, Multiply(LoadUpTo(in + c, width - c), scale));
    }
  }
}

// The same for a block of queries, with rows of zeros up to kQueries.
void PackQueries(int64_t count, int64_t width, const float* in, int64_t stride, float factor, int64_t padded,
                 float* out) {
  PackRows(count, width, in, stride, factor, padded, out);
  memset(out + count * padded, 0, static_cast<size_t>((kQueries - count) * padded) * sizeof(float));
}

void UnpackRows(int64_t steps, int64_t width, const float* in, int64_t padded, float factor, float* out,
                int64_t stride) {
  const Vector scale = Splat(factor);
  for (int64_t s = 0; s < steps; ++s, in += padded, out += stride) {
    for (int64_t c = 0; c < width; c += kLanes) StoreUpTo(out + c, Multiply(Load(in + c), scale), width - c);
  }
}

// out (kQueries, columns) = a (kQueries, width) * panels, keys from `first`, a multiple of kPanel.
void ProductWithPanels(const float* a, int64_t padded, int64_t width, const float* panels, int64_t first,
                       int64_t columns, float* out) {
  for (int64_t c = 0; c < columns; c += kPanel) {
    const int64_t count = columns - c < kPanel ? columns - c : kPanel;
    SmallProduct({a, padded, 1, panels + (first + c) * width, kPanel, out + c, kKeys, width, false}, kQueries,
                 count);
  }
}

// How many of the block's keys [first, first + count) query `query` sees.
int64_t Visible(const AttentionShape& shape, int64_t query, int64_t first, int64_t count) {
  if (!shape.causal) return count;
  const int64_t seen = query + 1 - first;
  return seen < count ? seen : count;
}

// Scores that the query does not see: -infinity, whose exponential is zero.
void Hide(int64_t visible, int64_t columns, float* p) {
  for (int64_t c = visible; c < columns; ++c) p[c] = -INFINITY;
}

// p = exp(p - max); returns the sum.
float Exponentials(int64_t columns, float max, float* p) {
  const Vector shift = Splat(max);
  Vector sum = Splat(0.0f);
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Vector e = ExpOfNegative(Subtract(Load(p + c), shift));
    Store(p + c, e);
    sum = Add(sum, e);
  }
  return SumOfLanes(sum);
}

float LargestOf(int64_t columns, const float* p) {
  Vector largest = Load(p);
  for (int64_t c = kLanes; c < columns; c += kLanes) largest = Larger(largest, Load(p + c));
  return LargestLane(largest);
}

void ScaleRow(int64_t width, float factor, float* row) {
  const Vector scale = Splat(factor);
  for (int64_t c = 0; c < width; c += kLanes) Store(row + c, Multiply(Load(row + c), scale));
}

struct Block {
  int64_t first;  // query
  int64_t count;
  int64_t keys;  // that any of the queries sees
};

Block QueryBlock(const AttentionShape& shape, int64_t first) {
  const int64_t count = shape.steps - first < kQueries ? shape.steps - first : kQueries;
  return {first, count, shape.causal ? first + count : shape.steps};
}

class ForwardItem {
 public:
  ForwardItem(const AttentionShape& shape, float* scratch) : shape_(shape), width_(shape.head_width) {
    padded_ = RoundUp(width_, kLanes);
    const int64_t steps = RoundUp(shape.steps, kPanel);
    Arena arena(scratch);
    keys_ = arena.Take(steps * padded_);
    values_ = arena.Take(steps * padded_);
    queries_ = arena.Take(kQueries * padded_);
    sums_ = arena.Take(kQueries * padded_);
    scores_ = arena.Take(kQueries * kKeys);
  }

  void SetKeys(const float* k, const float* v) {
    PackPanels(shape_.steps, width_, k, shape_.k_stride, keys_);
    PackRows(shape_.steps, width_, v, shape_.v_stride, 1.0f, padded_, values_);
  }

  void Head(const float* q, float* y, int64_t y_stride, float* log_sums) {
    for (int64_t first = 0; first < shape_.steps; first += kQueries) {
      const Block block = QueryBlock(shape_, first);
      PackQueries(block.count, width_, q + first * shape_.q_stride, shape_.q_stride, shape_.scale, padded_,
                  queries_);
      float max[kQueries], total[kQueries];
      for (int64_t key = 0; key < block.keys; key += kKeys) Keys(block, key, max, total);
      for (int64_t i = 0; i < block.count; ++i) {
        ScaleRow(padded_, 1.0f / total[i], sums_ + i * padded_);
        log_sums[first + i] = max[i] + logf(total[i]);
      }
      UnpackRows(block.count, width_, sums_, padded_, 1.0f, y + first * y_stride, y_stride);
    }
  }

 private:
  void Keys(const Block& block, int64_t key, float* max, float* total) {
    const int64_t count = block.keys - key < kKeys ? block.keys - key : kKeys;
    const int64_t columns = RoundUp(count, kLanes);
    ProductWithPanels(queries_, padded_, width_, keys_, key, columns, scores_);
    for (int64_t i = 0; i < block.count; ++i) {
      float* scores = scores_ + i * kKeys;
      Hide(Visible(shape_, block.first + i, key, count), columns, scores);
      const float largest = LargestOf(columns, scores);
      if (key == 0) {
        max[i] = largest;
        total[i] = Exponentials(columns, largest, scores);
        continue;
      }
      const float raised = largest > max[i] ? largest : max[i];
      const float shrink = ExpOfNegative(Splat(max[i] - raised))[0];
      max[i] = raised;
      total[i] = total[i] * shrink + Exponentials(columns, raised, scores);
      ScaleRow(padded_, shrink, sums_ + i * padded_);
    }
    SmallProduct({scores_, kKeys, 1, values_ + key * padded_, padded_, sums_, padded_, count, key > 0},
                 kQueries, padded_);
  }

  const AttentionShape& shape_;
  const int64_t width_;
  int64_t padded_;
  float *keys_, *values_, *queries_, *sums_, *scores_;
};

// Null stays null: a gradient that nobody wants.
float* OffsetBy(int64_t offset, float* buffer) { return buffer == nullptr ? nullptr : buffer + offset; }

class BackwardItem {
 public:
  BackwardItem(const AttentionShape& shape, float* scratch) : shape_(shape), width_(shape.head_width) {
    padded_ = RoundUp(width_, kLanes);
    steps_ = RoundUp(shape.steps, kPanel);
    Arena arena(scratch);
    key_panels_ = arena.Take(steps_ * padded_);
    value_panels_ = arena.Take(steps_ * padded_);
    keys_ = arena.Take(steps_ * padded_);
    dk_ = arena.Take(steps_ * padded_);
    dv_ = arena.Take(steps_ * padded_);
    queries_ = arena.Take(kQueries * padded_);
    dy_ = arena.Take(kQueries * padded_);
    dq_ = arena.Take(kQueries * padded_);
    p_ = arena.Take(kQueries * kKeys);
    ds_ = arena.Take(kQueries * kKeys);
  }

  void SetKeys(const float* k, const float* v) {
    PackPanels(shape_.steps, width_, k, shape_.k_stride, key_panels_);
    PackPanels(shape_.steps, width_, v, shape_.v_stride, value_panels_);
    PackRows(shape_.steps, width_, k, shape_.k_stride, 1.0f, padded_, keys_);
    memset(dk_, 0, static_cast<size_t>(steps_ * padded_) * sizeof(float));
    memset(dv_, 0, static_cast<size_t>(steps_ * padded_) * sizeof(float));
  }

  void Head(const float* q, const float* y, const float* dy, int64_t y_stride, const float* log_sums,
            float* dq) {
    for (int64_t first = 0; first < shape_.steps; first += kQueries) {
      const Block block = QueryBlock(shape_, first);
      PackQueries(block.count, width_, q + first * shape_.q_stride, shape_.q_stride, shape_.scale, padded_,
                  queries_);
      PackQueries(block.count, width_, dy + first * y_stride, y_stride, 1.0f, padded_, dy_);
      float log_sum[kQueries] = {}, offset[kQueries] = {};
      for (int64_t i = 0; i < block.count; ++i) {
        log_sum[i] = log_sums[first + i];
        offset[i] = Dot(y + (first + i) * y_stride, dy_ + i * padded_);
      }
      for (int64_t key = 0; key < block.keys; key += kKeys) Keys(block, key, log_sum, offset);
      if (dq == nullptr) continue;
      UnpackRows(block.count, width_, dq_, padded_, shape_.scale, dq + first * shape_.q_stride,
                 shape_.q_stride);
    }
  }

  void TakeGradients(float* dk, float* dv) const {
    if (dk != nullptr) UnpackRows(shape_.steps, width_, dk_, padded_, 1.0f, dk, shape_.k_stride);
    if (dv != nullptr) UnpackRows(shape_.steps, width_, dv_, padded_, 1.0f, dv, shape_.v_stride);
  }

 private:
  float Dot(const float* y, const float* dy) const {
    Vector sum = Splat(0.0f);
    for (int64_t c = 0; c < padded_; c += kLanes) {
      sum = MultiplyAdd(LoadUpTo(y + c, width_ - c), Load(dy + c), sum);
    }
    return SumOfLanes(sum);
  }

  void Keys(const Block& block, int64_t key, const float* log_sum, const float* offset) {
    const int64_t count = block.keys - key < kKeys ? block.keys - key : kKeys;
    const int64_t columns = RoundUp(count, kStep);
    ProductWithPanels(queries_, padded_, width_, key_panels_, key, columns, p_);
    ProductWithPanels(dy_, padded_, width_, value_panels_, key, columns, ds_);
    for (int64_t i = 0; i < kQueries; ++i) {
      float* p = p_ + i * kKeys;
      float* ds = ds_ + i * kKeys;
      Hide(Visible(shape_, block.first + i, key, count), columns, p);
      const Vector shift = Splat(log_sum[i]), mean = Splat(offset[i]);
      for (int64_t c = 0; c < columns; c += kLanes) {
        const Vector e = ExpOfNegative(Subtract(Load(p + c), shift));
        Store(p + c, e);
        Store(ds + c, Multiply(e, Subtract(Load(ds + c), mean)));
      }
    }
    SmallProduct({p_, 1, kKeys, dy_, padded_, dv_ + key * padded_, padded_, block.count, true}, columns,
                 padded_);
    SmallProduct({ds_, 1, kKeys, queries_, padded_, dk_ + key * padded_, padded_, block.count, true}, columns,
                 padded_);
    SmallProduct({ds_, kKeys, 1, keys_ + key * padded_, padded_, dq_, padded_, count, key > 0}, kQueries,
                 padded_);
  }

  const AttentionShape& shape_;
  const int64_t width_;
  int64_t padded_, steps_;
  float *key_panels_, *value_panels_, *keys_, *dk_, *dv_, *queries_, *dy_, *dq_, *p_, *ds_;
};

}  // namespace

void AttentionForward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q, const float* k,
                      const float* v, float* y, float* log_sums, float* scratch) {
  ForwardItem item(shape, scratch);
  const int64_t group = shape.heads / shape.key_heads, y_stride = shape.heads * shape.head_width;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i / shape.key_heads, key_head = i % shape.key_heads;
    const int64_t first_step = row * shape.steps, column = key_head * shape.head_width;
    item.SetKeys(k + first_step * shape.k_stride + column, v + first_step * shape.v_stride + column);
    for (int64_t head = key_head * group; head < (key_head + 1) * group; ++head) {
      const int64_t at = head * shape.head_width;
      item.Head(q + first_step * shape.q_stride + at, y + first_step * y_stride + at, y_stride,
                log_sums + (row * shape.heads + head) * shape.steps);
    }
  }
}

void AttentionBackward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q,
                       const float* k, const float* v, const float* y, const float* log_sums, const float* dy,
                       float* dq, float* dk, float* dv, float* scratch) {
  BackwardItem item(shape, scratch);
  const int64_t group = shape.heads / shape.key_heads, y_stride = shape.heads * shape.head_width;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i / shape.key_heads, key_head = i % shape.key_heads;
    const int64_t first_step = row * shape.steps, column = key_head * shape.head_width;
    const int64_t k_at = first_step * shape.k_stride + column, v_at = first_step * shape.v_stride + column;
    item.SetKeys(k + k_at, v + v_at);
    for (int64_t head = key_head * group; head < (key_head + 1) * group; ++head) {
      const int64_t q_at = first_step * shape.q_stride + head * shape.head_width;
      const int64_t y_at = first_step * y_stride + head * shape.head_width;
      item.Head(q + q_at, y + y_at, dy + y_at, y_stride, log_sums + (row * shape.heads + head) * shape.steps,
                OffsetBy(q_at, dq));
    }
    item.TakeGradients(OffsetBy(k_at, dk), OffsetBy(v_at, dv));
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
