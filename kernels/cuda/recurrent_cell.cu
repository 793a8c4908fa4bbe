#include "kernels/cuda/pack.h"
#include "kernels/cuda/recurrent_cell.h"

namespace lockstep::kernels::cuda {
namespace {

__device__ float CellSigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ float SigmoidSlope(float y) { return y * (1.0f - y); }
__device__ float TanhSlope(float y) { return 1.0f - y * y; }

// Where kCount neighbouring elements of a row stand in each kind of buffer.
struct CellPlace {
  int64_t column, gates, recurrent, state, dense;
  __device__ CellPlace(const RecurrentCell& cell, int64_t i, int count) {
    const int64_t packs = cell.hidden / count, row = i / packs;
    column = i % packs * count;
    gates = row * cell.gates_stride + column;
    recurrent = row * cell.recurrent_stride + column;
    state = row * cell.state_stride + column;
    dense = row * cell.hidden + column;
  }
};

// Zeros from null.
template <int kCount>
__device__ Pack<kCount> LoadOrZero(const float* from, int64_t at) {
  if (from != nullptr) return Load<kCount>(from + at);
  return {};
}

template <int kCount>
__global__ void LstmKernel(RecurrentCell cell, int64_t items, const float* bias_input,
                           const float* bias_hidden, const float* recurrent, const float* c_before,
                           float* gates, float* c, float* h) {
  const int64_t n = cell.hidden;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const CellPlace at(cell, i, kCount);
    Pack<kCount> a[4];
#pragma unroll
    for (int g = 0; g < 4; ++g) {
      a[g] = Load<kCount>(gates + at.gates + g * n);
      const auto product = LoadOrZero<kCount>(recurrent, at.recurrent + g * n);
      const auto input = Load<kCount>(bias_input + g * n + at.column);
      const auto hidden = Load<kCount>(bias_hidden + g * n + at.column);
      for (int k = 0; k < kCount; ++k) {
        const float sum = (a[g][k] + input[k]) + (product[k] + hidden[k]);
        a[g][k] = g == 2 ? tanhf(sum) : CellSigmoid(sum);
      }
      Store(gates + at.gates + g * n, a[g]);
    }
    auto state = LoadOrZero<kCount>(c_before, at.state);
    for (int k = 0; k < kCount; ++k) state[k] = a[1][k] * state[k] + a[0][k] * a[2][k];
    Store(c + at.state, state);
    for (int k = 0; k < kCount; ++k) state[k] = a[3][k] * tanhf(state[k]);
    Store(h + at.state, state);
  }
}

template <int kCount>
__global__ void LstmBackwardKernel(RecurrentCell cell, int64_t items, const float* c_before, const float* c,
                                   const float* dy, const float* from_next, float* dc, float* gates) {
  const int64_t n = cell.hidden;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const CellPlace at(cell, i, kCount);
    Pack<kCount> a[4];
#pragma unroll
    for (int g = 0; g < 4; ++g) a[g] = Load<kCount>(gates + at.gates + g * n);
    const auto before = LoadOrZero<kCount>(c_before, at.state),
               next = LoadOrZero<kCount>(from_next, at.dense);
    const auto state = Load<kCount>(c + at.state), d_output = Load<kCount>(dy + at.state);
    auto carry = Load<kCount>(dc + at.dense);
    for (int k = 0; k < kCount; ++k) {
      const float in = a[0][k], forget = a[1][k], value = a[2][k], out = a[3][k];
      const float dh = d_output[k] + next[k], t = tanhf(state[k]);
      const float d = carry[k] + dh * out * TanhSlope(t);
      a[0][k] = d * value * SigmoidSlope(in);
      a[1][k] = d * before[k] * SigmoidSlope(forget);
      a[2][k] = d * in * TanhSlope(value);
      a[3][k] = dh * t * SigmoidSlope(out);
      carry[k] = d * forget;
    }
#pragma unroll
    for (int g = 0; g < 4; ++g) Store(gates + at.gates + g * n, a[g]);
    Store(dc + at.dense, carry);
  }
}

template <int kCount>
__global__ void GruKernel(RecurrentCell cell, int64_t items, bool first, const float* bias_input,
                          const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                          float* h) {
  const int64_t n = cell.hidden;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const CellPlace at(cell, i, kCount);
    Pack<kCount> a[3], hidden[3];
#pragma unroll
    for (int g = 0; g < 3; ++g) {
      a[g] = Load<kCount>(gates + at.gates + g * n);
      hidden[g] = LoadOrZero<kCount>(first ? nullptr : recurrent, at.recurrent + g * n);
      const auto input = Load<kCount>(bias_input + g * n + at.column);
      const auto bias = Load<kCount>(bias_hidden + g * n + at.column);
      for (int k = 0; k < kCount; ++k) {
        a[g][k] += input[k];
        hidden[g][k] += bias[k];
      }
    }
    auto state = LoadOrZero<kCount>(h_before, at.state);
    for (int k = 0; k < kCount; ++k) {
      a[0][k] = CellSigmoid(a[0][k] + hidden[0][k]);
      a[1][k] = CellSigmoid(a[1][k] + hidden[1][k]);
      a[2][k] = tanhf(a[2][k] + a[0][k] * hidden[2][k]);
      state[k] = (1.0f - a[1][k]) * a[2][k] + a[1][k] * state[k];
    }
#pragma unroll
    for (int g = 0; g < 3; ++g) Store(gates + at.gates + g * n, a[g]);
    Store(recurrent + at.recurrent + 2 * n, hidden[2]);
    Store(h + at.state, state);
  }
}

template <int kCount>
__global__ void GruBackwardKernel(RecurrentCell cell, int64_t items, const float* h_before, const float* dy,
                                  const float* from_next, float* carry, float* gates, float* recurrent) {
  const int64_t n = cell.hidden;
  for (int64_t i = FirstItem(); i < items; i += ItemStride()) {
    const CellPlace at(cell, i, kCount);
    auto reset = Load<kCount>(gates + at.gates), update = Load<kCount>(gates + at.gates + n);
    auto value = Load<kCount>(gates + at.gates + 2 * n),
         hidden = Load<kCount>(recurrent + at.recurrent + 2 * n);
    auto left = Load<kCount>(carry + at.dense);
    const auto before = LoadOrZero<kCount>(h_before, at.state),
               next = LoadOrZero<kCount>(from_next, at.dense);
    const auto d_output = Load<kCount>(dy + at.state);
    for (int k = 0; k < kCount; ++k) {
      const float r = reset[k], z = update[k], m = value[k];
      const float dh = (d_output[k] + next[k]) + left[k];
      value[k] = dh * (1.0f - z) * TanhSlope(m);
      update[k] = dh * (before[k] - m) * SigmoidSlope(z);
      reset[k] = value[k] * hidden[k] * SigmoidSlope(r);
      hidden[k] = value[k] * r;
      left[k] = dh * z;
    }
    Store(gates + at.gates, reset);
    Store(gates + at.gates + n, update);
    Store(gates + at.gates + 2 * n, value);
    Store(recurrent + at.recurrent, reset);
    Store(recurrent + at.recurrent + n, update);
    Store(recurrent + at.recurrent + 2 * n, hidden);
    Store(carry + at.dense, left);
  }
}

// What `launch` returns when called with the floats of an item, a constant, and the number of items.
template <class Call>
Launched ForCells(const RecurrentCell& cell, int64_t rows, bool four, const Call& launch) {
  const int64_t count = rows * cell.hidden;
  if (count == 0) return {};
  if (four && cell.hidden % 4 == 0 && cell.gates_stride % 4 == 0 && cell.recurrent_stride % 4 == 0 &&
      cell.state_stride % 4 == 0) {
    return launch(PackOf<4>(), count / 4);
  }
  return launch(PackOf<1>(), count);
}

}  // namespace

Launched LstmCellForward(const RecurrentCell& cell, int64_t rows, const float* bias_input,
                         const float* bias_hidden, const float* recurrent, const float* c_before,
                         float* gates, float* c, float* h, Stream stream) {
  const float* const product = c_before == nullptr ? nullptr : recurrent;
  const bool four = FourAtATime(bias_input, bias_hidden, recurrent, c_before, gates, c, h);
  return ForCells(cell, rows, four, [&](auto pack, int64_t items) {
    return Launch<LstmKernel<pack.kFloats>>({"LstmCellForward", Blocks(items), kThreads, stream}, cell, items,
                                            bias_input, bias_hidden, product, c_before, gates, c, h);
  });
}

Launched LstmCellBackward(const RecurrentCell& cell, int64_t rows, const float* c_before, const float* c,
                          const float* dy, const float* from_next, float* dc, float* gates, Stream stream) {
  const bool four = FourAtATime(c_before, c, dy, from_next, dc, gates);
  return ForCells(cell, rows, four, [&](auto pack, int64_t items) {
    return Launch<LstmBackwardKernel<pack.kFloats>>({"LstmCellBackward", Blocks(items), kThreads, stream},
                                                    cell, items, c_before, c, dy, from_next, dc, gates);
  });
}

Launched GruCellForward(const RecurrentCell& cell, int64_t rows, const float* bias_input,
                        const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                        float* h, Stream stream) {
  const bool four = FourAtATime(bias_input, bias_hidden, h_before, gates, recurrent, h);
  return ForCells(cell, rows, four, [&](auto pack, int64_t items) {
    return Launch<GruKernel<pack.kFloats>>({"GruCellForward", Blocks(items), kThreads, stream}, cell, items,
                                           h_before == nullptr, bias_input, bias_hidden, h_before, gates,
                                           recurrent, h);
  });
}

Launched GruCellBackward(const RecurrentCell& cell, int64_t rows, const float* h_before, const float* dy,
                         const float* from_next, float* carry, float* gates, float* recurrent,
                         Stream stream) {
  const bool four = FourAtATime(h_before, dy, from_next, carry, gates, recurrent);
  return ForCells(cell, rows, four, [&](auto pack, int64_t items) {
    return Launch<GruBackwardKernel<pack.kFloats>>({"GruCellBackward", Blocks(items), kThreads, stream}, cell,
                                                   items, h_before, dy, from_next, carry, gates, recurrent);
  });
}

}  // namespace lockstep::kernels::cuda
