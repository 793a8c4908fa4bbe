#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_tensor.h"
#include "kernels/cuda/attention_tiles.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int kInvalidValue = 1;  // cudaErrorInvalidValue

__device__ inline int OwnRow(int i) { return kRowsOwned * (static_cast<int>(threadIdx.x) / kSide) + i; }
__device__ inline int OwnScore(int j) { return static_cast<int>(threadIdx.x) % kSide + kSide * j; }

template <int kWidth>
__global__ void __launch_bounds__(kThreads) AttentionKernel(AttentionInputs in, float* y, float* log_sums) {
  using T = Tiles<kWidth>;
  LOCKSTEP_DYNAMIC_SHARED(shared, float);
  float *const q = shared, *const k = q + T::kFloats, *const v = k + T::kFloats, *const p = v + T::kFloats;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.heads, true);
  const int64_t first = at.tile * kTile, key_head = at.head / in.group();
  T::Fill(q, in.q + in.Query(at.row, at.head), shape.q_stride, first, shape.steps, shape.head_width, in.four);
  typename T::Result result = {};
  float largest[kRowsOwned], sum[kRowsOwned];
  for (int i = 0; i < kRowsOwned; ++i) {
    largest[i] = -INFINITY;
    sum[i] = 0.0f;
  }
  const int64_t key_end = shape.causal && first + kTile < shape.steps ? first + kTile : shape.steps;
  for (int64_t key = 0; key < key_end; key += kTile) {
    __syncthreads();  // k and v have been read
    T::Fill(k, in.k + in.Key(at.row, key_head, shape.k_stride), shape.k_stride, key, shape.steps,
            shape.head_width, in.four);
    T::Fill(v, in.v + in.Key(at.row, key_head, shape.v_stride), shape.v_stride, key, shape.steps,
            shape.head_width, in.four);
    __syncthreads();
    float scores[kRowsOwned][kScoresOwned];
    T::Multiply(q, k, scores);
    for (int i = 0; i < kRowsOwned; ++i) {
      float top = largest[i], added = 0.0f;
      for (int j = 0; j < kScoresOwned; ++j) {
        scores[i][j] = in.Sees(first + OwnRow(i), key + OwnScore(j)) ? scores[i][j] * shape.scale : -INFINITY;
        top = Largest()(top, scores[i][j]);
      }
      top = RowReduce(top, Largest());
      for (int j = 0; j < kScoresOwned; ++j) {
        scores[i][j] = expf(scores[i][j] - top);
        added += scores[i][j];
      }
      const float shrink = expf(largest[i] - top);
      largest[i] = top;
      sum[i] = sum[i] * shrink + RowReduce(added, Plus());
      for (int c = 0; c < T::kPacks; ++c) {
        for (int e = 0; e < T::kVector; ++e) result[i][c][e] *= shrink;
      }
    }
    PutScores(scores, p);
    T::Accumulate(p, v, result);
  }
  float inverse[kRowsOwned];
  for (int i = 0; i < kRowsOwned; ++i) {
    inverse[i] = 1.0f / sum[i];
    const int64_t query = first + OwnRow(i);
    if (threadIdx.x % kSide == 0 && query < shape.steps) {
      log_sums[in.Sums(at.row, at.head) + query] = largest[i] + logf(sum[i]);
    }
  }
  T::Put(result, inverse, y + in.Output(at.row, at.head), in.y_stride(), first, shape.steps,
         shape.head_width);
}

// offsets[row][head][step] = dy . y, a warp for each.
__global__ void AttentionOffsetKernel(AttentionInputs in, int64_t rows, float* offsets) {
  const AttentionShape& shape = in.shape;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t i = FirstItem() / kWarp; i < rows * shape.heads * shape.steps; i += ItemStride() / kWarp) {
    const int64_t step = i % shape.steps, head = i / shape.steps % shape.heads,
                  row = i / shape.steps / shape.heads;
    const int64_t from = in.Output(row, head) + step * in.y_stride();
    float sum = 0.0f;
    for (int64_t c = lane; c < shape.head_width; c += kWarp) sum = fmaf(in.dy[from + c], in.y[from + c], sum);
    sum = WarpSum(sum);
    if (lane == 0) offsets[i] = sum;
  }
}

// Turns products q . k into p, and dy . v into ds = p (dy . v - offset), of one query.
__device__ inline void Slopes(bool seen, float scale, float log_sum, float offset, float* score,
                              float* slope) {
  *score = seen ? expf(*score * scale - log_sum) : 0.0f;
  *slope = *score * (*slope - offset);
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    AttentionQueryGradientKernel(AttentionInputs in, const float* offsets, float* dq) {
  using T = Tiles<kWidth>;
  LOCKSTEP_DYNAMIC_SHARED(shared, float);
  float *const q = shared, *const dy = q + T::kFloats, *const k = dy + T::kFloats, *const v = k + T::kFloats,
               *const ds = v + T::kFloats;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.heads, true);
  const int64_t first = at.tile * kTile, key_head = at.head / in.group(), sums = in.Sums(at.row, at.head);
  T::Fill(q, in.q + in.Query(at.row, at.head), shape.q_stride, first, shape.steps, shape.head_width, in.four);
  T::Fill(dy, in.dy + in.Output(at.row, at.head), in.y_stride(), first, shape.steps, shape.head_width,
          in.four);
  float log_sum[kRowsOwned], offset[kRowsOwned], factor[kRowsOwned];
  for (int i = 0; i < kRowsOwned; ++i) {
    const int64_t query = first + OwnRow(i);
    log_sum[i] = query < shape.steps ? in.log_sums[sums + query] : 0.0f;
    offset[i] = query < shape.steps ? offsets[sums + query] : 0.0f;
    factor[i] = shape.scale;
  }
  typename T::Result result = {};
  const int64_t key_end = shape.causal && first + kTile < shape.steps ? first + kTile : shape.steps;
  for (int64_t key = 0; key < key_end; key += kTile) {
    __syncthreads();  // k and v have been read
    T::Fill(k, in.k + in.Key(at.row, key_head, shape.k_stride), shape.k_stride, key, shape.steps,
            shape.head_width, in.four);
    T::Fill(v, in.v + in.Key(at.row, key_head, shape.v_stride), shape.v_stride, key, shape.steps,
            shape.head_width, in.four);
    __syncthreads();
    float scores[kRowsOwned][kScoresOwned], slopes[kRowsOwned][kScoresOwned];
    T::Multiply(q, k, scores);
    T::Multiply(dy, v, slopes);
    for (int i = 0; i < kRowsOwned; ++i) {
      for (int j = 0; j < kScoresOwned; ++j) {
        const int64_t query = first + OwnRow(i);
        Slopes(query < shape.steps && in.Sees(query, key + OwnScore(j)), shape.scale, log_sum[i], offset[i],
               &scores[i][j], &slopes[i][j]);
      }
    }
    PutScores(slopes, ds);
    T::Accumulate(ds, k, result);
  }
  T::Put(result, factor, dq + in.Query(at.row, at.head), shape.q_stride, first, shape.steps,
         shape.head_width);
}

// The same with keys for rows: their products with all queries of the group's heads.
template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    AttentionKeyGradientKernel(AttentionInputs in, const float* offsets, float* dk, float* dv) {
  using T = Tiles<kWidth>;
  LOCKSTEP_DYNAMIC_SHARED(shared, float);
  float *const k = shared, *const v = k + T::kFloats, *const q = v + T::kFloats, *const dy = q + T::kFloats,
               *const p = dy + T::kFloats;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.key_heads, false);
  const int64_t first = at.tile * kTile;
  T::Fill(k, in.k + in.Key(at.row, at.head, shape.k_stride), shape.k_stride, first, shape.steps,
          shape.head_width, in.four);
  T::Fill(v, in.v + in.Key(at.row, at.head, shape.v_stride), shape.v_stride, first, shape.steps,
          shape.head_width, in.four);
  typename T::Result keys = {}, values = {};
  for (int64_t head = at.head * in.group(); head < (at.head + 1) * in.group(); ++head) {
    const int64_t sums = in.Sums(at.row, head);
    for (int64_t query = shape.causal ? first : 0; query < shape.steps; query += kTile) {
      __syncthreads();  // q and dy have been read
      T::Fill(q, in.q + in.Query(at.row, head), shape.q_stride, query, shape.steps, shape.head_width,
              in.four);
      T::Fill(dy, in.dy + in.Output(at.row, head), in.y_stride(), query, shape.steps, shape.head_width,
              in.four);
      __syncthreads();
      float scores[kRowsOwned][kScoresOwned], slopes[kRowsOwned][kScoresOwned];
      T::Multiply(k, q, scores);
      T::Multiply(v, dy, slopes);
      for (int j = 0; j < kScoresOwned; ++j) {
        const int64_t own = query + OwnScore(j);
        const bool real = own < shape.steps;
        const float log_sum = real ? in.log_sums[sums + own] : 0.0f,
                    offset = real ? offsets[sums + own] : 0.0f;
        for (int i = 0; i < kRowsOwned; ++i) {
          Slopes(real && in.Sees(own, first + OwnRow(i)), shape.scale, log_sum, offset, &scores[i][j],
                 &slopes[i][j]);
        }
      }
      PutScores(scores, p);
      T::Accumulate(p, dy, values);
      PutScores(slopes, p);
      T::Accumulate(p, q, keys);
    }
  }
  float one[kRowsOwned], scale[kRowsOwned];
  for (int i = 0; i < kRowsOwned; ++i) {
    one[i] = 1.0f;
    scale[i] = shape.scale;
  }
  if (dk != nullptr) {
    T::Put(keys, scale, dk + in.Key(at.row, at.head, shape.k_stride), shape.k_stride, first, shape.steps,
           shape.head_width);
  }
  if (dv != nullptr) {
    T::Put(values, one, dv + in.Key(at.row, at.head, shape.v_stride), shape.v_stride, first, shape.steps,
           shape.head_width);
  }
}

// What `launch` returns for the narrowest tiles that hold a head.
template <class Call>
Launched WithWidth(const char* launcher, int64_t head_width, const Call& launch) {
  if (head_width <= 32) return launch(Tiles<32>());
  if (head_width <= 64) return launch(Tiles<64>());
  if (head_width <= kMaxHeadWidth) return launch(Tiles<kMaxHeadWidth>());
  return {kInvalidValue, launcher};
}

template <int kWidth>
constexpr int WidthOf(Tiles<kWidth>) {
  return kWidth;
}

size_t SharedBytes(int floats_of_tile, int tiles) {
  return (size_t{1} * floats_of_tile * tiles + kTile * kScoreStride) * sizeof(float);
}

}  // namespace

Launched AttentionForward(GemmType type, const AttentionShape& shape, int64_t rows, const float* q,
                          const float* k, const float* v, float* y, float* log_sums, Stream stream) {
  if (type == GemmType::kBf16) return AttentionTensorForward(shape, rows, q, k, v, y, log_sums, stream);
  const AttentionInputs in = InputsOf(shape, kTile, q, k, v, nullptr, nullptr, nullptr);
  const int64_t blocks = rows * shape.heads * in.tiles;
  if (blocks == 0) return {};
  return WithWidth("AttentionForward", shape.head_width, [&](auto tiles) {
    return Launch<AttentionKernel<WidthOf(decltype(tiles)())>>(
        {"AttentionForward", static_cast<unsigned>(blocks), kThreads, stream, SharedBytes(tiles.kFloats, 3)},
        in, y, log_sums);
  });
}

Launched AttentionBackward(GemmType type, const AttentionShape& shape, int64_t rows, const float* q,
                           const float* k, const float* v, const float* y, const float* log_sums,
                           const float* dy, float* dq, float* dk, float* dv, float* offsets, Stream stream) {
  const AttentionInputs in = InputsOf(shape, kTile, q, k, v, y, log_sums, dy);
  const int64_t places = rows * shape.heads * shape.steps;
  if (places == 0) return {};
  if (type == GemmType::kBf16) {
    const Launched launched = Launch<AttentionOffsetKernel>(
        {"AttentionBackward", Blocks(places, kThreads / kWarp), kThreads, stream}, in, rows, offsets);
    if (!launched.ok()) return launched;
    return AttentionTensorBackward(shape, rows, q, k, v, y, log_sums, dy, offsets, dq, dk, dv, stream);
  }
  return WithWidth("AttentionBackward", shape.head_width, [&](auto tiles) {
    constexpr int kWidth = WidthOf(decltype(tiles)());
    const size_t shared = SharedBytes(tiles.kFloats, 4);
    Launched launched = Launch<AttentionOffsetKernel>(
        {"AttentionBackward", Blocks(places, kThreads / kWarp), kThreads, stream}, in, rows, offsets);
    const float* const read = offsets;
    if (launched.ok() && dq != nullptr) {
      const auto blocks = static_cast<unsigned>(rows * shape.heads * in.tiles);
      launched = Launch<AttentionQueryGradientKernel<kWidth>>(
          {"AttentionBackward", blocks, kThreads, stream, shared}, in, read, dq);
    }
    if (launched.ok() && (dk != nullptr || dv != nullptr)) {
      const auto blocks = static_cast<unsigned>(rows * shape.key_heads * in.tiles);
      launched = Launch<AttentionKeyGradientKernel<kWidth>>(
          {"AttentionBackward", blocks, kThreads, stream, shared}, in, read, dk, dv);
    }
    return launched;
  });
}

}  // namespace lockstep::kernels::cuda
