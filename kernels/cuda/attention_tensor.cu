#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_fragments.h"
#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_tensor.h"
#include "kernels/cuda/reduce.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr int kTensorInvalidValue = 1;  // cudaErrorInvalidValue
constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

constexpr int kBlockRows = kThreads / kWarp * kRowsOfWarp;  // each warp has 16 of its own

template <int kWidth_>
struct AttentionSizes {
  static constexpr int kWidth = kWidth_;
  // Of what the rows are multiplied with: as many as the registers hold the scores of.
  static constexpr int kForward = 64, kBackward = kWidth <= 64 ? 64 : 32;
  using Rows = TensorTiles<kWidth, kBlockRows>;
  using Forward = TensorTiles<kWidth, kForward>;
  using Backward = TensorTiles<kWidth, kBackward>;
};

__device__ inline int WarpRow() { return static_cast<int>(threadIdx.x) / kWarp * kRowsOfWarp; }

// The last key that a warp's rows see, or the first row that a key is seen by, decides what a warp computes:
// all of its lanes alike.
template <class S>
__global__ void __launch_bounds__(kThreads)
    AttentionTensorKernel(AttentionInputs in, float* y, float* log_sums) {
  using T = typename S::Forward;
  LOCKSTEP_DYNAMIC_SHARED(shared, uint32_t);
  uint32_t *const q = shared, *const k = q + S::Rows::kLineWords, *const v = k + T::kLineWords;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.heads, true);
  const int64_t first = at.tile * kBlockRows, key_head = at.head / in.group(), own = first + WarpRow();
  S::Rows::template Fill<true, false>(q, nullptr, in.q + in.Query(at.row, at.head), shape.q_stride, first,
                                      shape.steps, shape.head_width, in.four);
  typename T::Result result = {};
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  const int64_t key_end = shape.causal && first + kBlockRows < shape.steps ? first + kBlockRows : shape.steps;
  for (int64_t key = 0; key < key_end; key += S::kForward) {
    __syncthreads();  // k and v have been read
    T::template Fill<true, false>(k, nullptr, in.k + in.Key(at.row, key_head, shape.k_stride), shape.k_stride,
                                  key, shape.steps, shape.head_width, in.four);
    T::template Fill<false, true>(nullptr, v, in.v + in.Key(at.row, key_head, shape.v_stride), shape.v_stride,
                                  key, shape.steps, shape.head_width, in.four);
    __syncthreads();
    if (own >= shape.steps || (shape.causal && key >= own + kRowsOfWarp)) continue;
    typename T::Scores scores;
    T::Multiply(q + WarpRow() * T::kLineStride, k, scores);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t query = own + LaneGroup() + 8 * half;
      float top = largest[half], added = 0.0f;
#pragma unroll
      for (int n = 0; n < S::kForward / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& score = scores[n][2 * half + e];
          score = in.Sees(query, key + 8 * n + 2 * LaneInGroup() + e) ? score * (shape.scale * kLog2E)
                                                                      : -INFINITY;
          top = Largest()(top, score);
        }
      }
      top = FourReduce(top, Largest());
#pragma unroll
      for (int n = 0; n < S::kForward / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& score = scores[n][2 * half + e];
          score = exp2f(score - top);
          added += score;
        }
      }
      const float shrink = exp2f(largest[half] - top);
      largest[half] = top;
      sum[half] = sum[half] * shrink + FourReduce(added, Plus());
#pragma unroll
      for (int n = 0; n < S::kWidth / 8; ++n) {
        result[n][2 * half] *= shrink;
        result[n][2 * half + 1] *= shrink;
      }
    }
    T::Accumulate(scores, v, result);
  }
  float inverse[2];
  for (int half = 0; half < 2; ++half) {
    inverse[half] = 1.0f / sum[half];
    const int64_t query = own + LaneGroup() + 8 * half;
    if (LaneInGroup() == 0 && query < shape.steps) {
      log_sums[in.Sums(at.row, at.head) + query] = largest[half] * kLn2 + logf(sum[half]);
    }
  }
  T::Put(result, inverse, y + in.Output(at.row, at.head), in.y_stride(), own, shape.steps, shape.head_width);
}

// Turns products q . k into p, and dy . v into ds = p (dy . v - offset), of one query.
__device__ inline void TensorSlopes(bool seen, float scale, float log_sum, float offset, float* score,
                                    float* slope) {
  *score = seen ? exp2f((*score * scale - log_sum) * kLog2E) : 0.0f;
  *slope = *score * (*slope - offset);
}

template <class S>
__global__ void __launch_bounds__(kThreads)
    AttentionTensorQueryKernel(AttentionInputs in, const float* offsets, float* dq) {
  using T = typename S::Backward;
  LOCKSTEP_DYNAMIC_SHARED(shared, uint32_t);
  uint32_t *const q = shared, *const dy = q + S::Rows::kLineWords, *const k = dy + S::Rows::kLineWords,
                  *const v = k + T::kLineWords, *const k_columns = v + T::kLineWords;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.heads, true);
  const int64_t first = at.tile * kBlockRows, key_head = at.head / in.group(), own = first + WarpRow(),
                sums = in.Sums(at.row, at.head);
  S::Rows::template Fill<true, false>(q, nullptr, in.q + in.Query(at.row, at.head), shape.q_stride, first,
                                      shape.steps, shape.head_width, in.four);
  S::Rows::template Fill<true, false>(dy, nullptr, in.dy + in.Output(at.row, at.head), in.y_stride(), first,
                                      shape.steps, shape.head_width, in.four);
  float log_sum[2], offset[2];
  for (int half = 0; half < 2; ++half) {
    const int64_t query = own + LaneGroup() + 8 * half;
    log_sum[half] = query < shape.steps ? in.log_sums[sums + query] : 0.0f;
    offset[half] = query < shape.steps ? offsets[sums + query] : 0.0f;
  }
  typename T::Result result = {};
  const int64_t key_end = shape.causal && first + kBlockRows < shape.steps ? first + kBlockRows : shape.steps;
  for (int64_t key = 0; key < key_end; key += S::kBackward) {
    __syncthreads();  // k and v have been read
    T::template Fill<true, true>(k, k_columns, in.k + in.Key(at.row, key_head, shape.k_stride),
                                 shape.k_stride, key, shape.steps, shape.head_width, in.four);
    T::template Fill<true, false>(v, nullptr, in.v + in.Key(at.row, key_head, shape.v_stride), shape.v_stride,
                                  key, shape.steps, shape.head_width, in.four);
    __syncthreads();
    if (own >= shape.steps || (shape.causal && key >= own + kRowsOfWarp)) continue;
    typename T::Scores scores, slopes;
    T::Multiply(q + WarpRow() * T::kLineStride, k, scores);
    T::Multiply(dy + WarpRow() * T::kLineStride, v, slopes);
#pragma unroll
    for (int n = 0; n < S::kBackward / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t query = own + LaneGroup() + 8 * (i / 2);
        const int64_t seen_key = key + 8 * n + 2 * LaneInGroup() + i % 2;
        TensorSlopes(query < shape.steps && in.Sees(query, seen_key), shape.scale, log_sum[i / 2],
                     offset[i / 2], &scores[n][i], &slopes[n][i]);
      }
    }
    T::Accumulate(slopes, k_columns, result);
  }
  const float factor[2] = {shape.scale, shape.scale};
  T::Put(result, factor, dq + in.Query(at.row, at.head), shape.q_stride, own, shape.steps, shape.head_width);
}

// The same with keys for rows: their products with all queries of the group's heads.
template <class S>
__global__ void __launch_bounds__(kThreads)
    AttentionTensorKeyKernel(AttentionInputs in, const float* offsets, float* dk, float* dv) {
  using T = typename S::Backward;
  LOCKSTEP_DYNAMIC_SHARED(shared, uint32_t);
  uint32_t *const k = shared, *const v = k + S::Rows::kLineWords, *const q = v + S::Rows::kLineWords,
                  *const dy = q + T::kLineWords, *const q_columns = dy + T::kLineWords,
                  *const dy_columns = q_columns + T::kColumnWords;
  const AttentionShape& shape = in.shape;
  const Place at(in.tiles, shape.key_heads, false);
  const int64_t first = at.tile * kBlockRows, own = first + WarpRow();
  S::Rows::template Fill<true, false>(k, nullptr, in.k + in.Key(at.row, at.head, shape.k_stride),
                                      shape.k_stride, first, shape.steps, shape.head_width, in.four);
  S::Rows::template Fill<true, false>(v, nullptr, in.v + in.Key(at.row, at.head, shape.v_stride),
                                      shape.v_stride, first, shape.steps, shape.head_width, in.four);
  typename T::Result keys = {}, values = {};
  for (int64_t head = at.head * in.group(); head < (at.head + 1) * in.group(); ++head) {
    const int64_t sums = in.Sums(at.row, head);
    for (int64_t query = shape.causal ? first : 0; query < shape.steps; query += S::kBackward) {
      __syncthreads();  // q and dy have been read
      T::template Fill<true, true>(q, q_columns, in.q + in.Query(at.row, head), shape.q_stride, query,
                                   shape.steps, shape.head_width, in.four);
      T::template Fill<true, true>(dy, dy_columns, in.dy + in.Output(at.row, head), in.y_stride(), query,
                                   shape.steps, shape.head_width, in.four);
      __syncthreads();
      if (own >= shape.steps || (shape.causal && query + S::kBackward <= own)) continue;
      typename T::Scores scores, slopes;
      T::Multiply(k + WarpRow() * T::kLineStride, q, scores);
      T::Multiply(v + WarpRow() * T::kLineStride, dy, slopes);
#pragma unroll
      for (int n = 0; n < S::kBackward / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int64_t column = query + 8 * n + 2 * LaneInGroup() + e;
          const bool real = column < shape.steps;
          const float log_sum = real ? in.log_sums[sums + column] : 0.0f,
                      offset = real ? offsets[sums + column] : 0.0f;
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            TensorSlopes(real && in.Sees(column, own + LaneGroup() + 8 * half), shape.scale, log_sum, offset,
                         &scores[n][2 * half + e], &slopes[n][2 * half + e]);
          }
        }
      }
      T::Accumulate(scores, dy_columns, values);
      T::Accumulate(slopes, q_columns, keys);
    }
  }
  const float one[2] = {1.0f, 1.0f}, scale[2] = {shape.scale, shape.scale};
  if (dk != nullptr) {
    T::Put(keys, scale, dk + in.Key(at.row, at.head, shape.k_stride), shape.k_stride, own, shape.steps,
           shape.head_width);
  }
  if (dv != nullptr) {
    T::Put(values, one, dv + in.Key(at.row, at.head, shape.v_stride), shape.v_stride, own, shape.steps,
           shape.head_width);
  }
}

// What `launch` returns for the narrowest tiles that hold a head.
template <class Call>
Launched WithTensorWidth(const char* launcher, int64_t head_width, const Call& launch) {
  if (head_width <= 32) return launch(AttentionSizes<32>());
  if (head_width <= 64) return launch(AttentionSizes<64>());
  if (head_width <= kMaxHeadWidth) return launch(AttentionSizes<kMaxHeadWidth>());
  return {kTensorInvalidValue, launcher};
}

LaunchAt PlaceFor(const char* launcher, int64_t blocks, Stream stream, int words) {
  return {launcher, static_cast<unsigned>(blocks), kThreads, stream, sizeof(uint32_t) * size_t(words)};
}

}  // namespace

Launched AttentionTensorForward(const AttentionShape& shape, int64_t rows, const float* q, const float* k,
                                const float* v, float* y, float* log_sums, Stream stream) {
  const AttentionInputs in = InputsOf(shape, kBlockRows, q, k, v, nullptr, nullptr, nullptr);
  const int64_t blocks = rows * shape.heads * in.tiles;
  if (blocks == 0) return {};
  return WithTensorWidth("AttentionForward", shape.head_width, [&](auto sizes) {
    using S = decltype(sizes);
    constexpr int kWords = S::Rows::kLineWords + S::Forward::kLineWords + S::Forward::kColumnWords;
    return Launch<AttentionTensorKernel<S>>(PlaceFor("AttentionForward", blocks, stream, kWords), in, y,
                                            log_sums);
  });
}

Launched AttentionTensorBackward(const AttentionShape& shape, int64_t rows, const float* q, const float* k,
                                 const float* v, const float* y, const float* log_sums, const float* dy,
                                 const float* offsets, float* dq, float* dk, float* dv, Stream stream) {
  const AttentionInputs in = InputsOf(shape, kBlockRows, q, k, v, y, log_sums, dy);
  return WithTensorWidth("AttentionBackward", shape.head_width, [&](auto sizes) {
    using S = decltype(sizes);
    constexpr int kLines = S::Backward::kLineWords, kColumns = S::Backward::kColumnWords;
    constexpr int kOfQueries = 2 * S::Rows::kLineWords + 2 * kLines + kColumns;
    constexpr int kOfKeys = kOfQueries + kColumns;
    Launched launched;
    if (dq != nullptr) {
      launched = Launch<AttentionTensorQueryKernel<S>>(
          PlaceFor("AttentionBackward", rows * shape.heads * in.tiles, stream, kOfQueries), in, offsets, dq);
    }
    if (launched.ok() && (dk != nullptr || dv != nullptr)) {
      launched = Launch<AttentionTensorKeyKernel<S>>(
          PlaceFor("AttentionBackward", rows * shape.key_heads * in.tiles, stream, kOfKeys), in, offsets, dk,
          dv);
    }
    return launched;
  });
}

}  // namespace lockstep::kernels::cuda
