#include "kernels/recurrent_cell.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

inline float SigmoidSlope(float s) { return s * (1.0f - s); }
inline float TanhSlope(float t) { return 1.0f - t * t; }

// Null stays null: the step before the first, or after the last.
inline const float* RowAt(const float* buffer, int64_t offset) {
  return buffer == nullptr ? nullptr : buffer + offset;
}

// A missing step, before the first or after the last, is a template argument: no branch inside the loops.
template <bool kFirst>
void LstmForwardRow(int64_t n, const float* bias_input, const float* bias_hidden, const float* product,
                    const float* before, float* __restrict i_gate, float* __restrict f_gate,
                    float* __restrict g_gate, float* __restrict o_gate, float* __restrict c,
                    float* __restrict h) {
  const auto input = [=](const float* gate, int64_t j, int64_t at) {
    return (gate[j] + bias_input[at]) + (kFirst ? bias_hidden[at] : product[at] + bias_hidden[at]);
  };
  for (int64_t j = 0; j < n; ++j) {
    const float i = Sigmoid(input(i_gate, j, j)), f = Sigmoid(input(f_gate, j, n + j));
    const float g = Tanh(input(g_gate, j, 2 * n + j)), o = Sigmoid(input(o_gate, j, 3 * n + j));
    const float state = kFirst ? i * g : f * before[j] + i * g;
    i_gate[j] = i;
    f_gate[j] = f;
    g_gate[j] = g;
    o_gate[j] = o;
    c[j] = state;
    h[j] = o * Tanh(state);
  }
}

template <bool kFirst, bool kLast>
void LstmBackwardRow(int64_t n, const float* before, const float* c, const float* dy, const float* next,
                     float* __restrict dc, float* __restrict i_gate, float* __restrict f_gate,
                     float* __restrict g_gate, float* __restrict o_gate) {
  for (int64_t j = 0; j < n; ++j) {
    const float i = i_gate[j], f = f_gate[j], g = g_gate[j], o = o_gate[j];
    const float dh = kLast ? dy[j] : dy[j] + next[j];
    const float t = Tanh(c[j]);
    const float d = dc[j] + dh * o * TanhSlope(t);
    i_gate[j] = d * g * SigmoidSlope(i);
    f_gate[j] = kFirst ? 0.0f : d * before[j] * SigmoidSlope(f);
    g_gate[j] = d * i * TanhSlope(g);
    o_gate[j] = dh * t * SigmoidSlope(o);
    dc[j] = d * f;
  }
}

template <bool kFirst>
void GruForwardRow(int64_t n, const float* bias_input, const float* bias_hidden, const float* before,
                   float* __restrict r_gate, float* __restrict z_gate, float* __restrict n_gate,
                   const float* r_product, const float* z_product, float* __restrict n_product,
                   float* __restrict h) {
  for (int64_t j = 0; j < n; ++j) {
    const float r_hidden = kFirst ? bias_hidden[j] : r_product[j] + bias_hidden[j];
    const float z_hidden = kFirst ? bias_hidden[n + j] : z_product[j] + bias_hidden[n + j];
    const float n_hidden = kFirst ? bias_hidden[2 * n + j] : n_product[j] + bias_hidden[2 * n + j];
    const float r = Sigmoid((r_gate[j] + bias_input[j]) + r_hidden);
    const float z = Sigmoid((z_gate[j] + bias_input[n + j]) + z_hidden);
    const float m = Tanh((n_gate[j] + bias_input[2 * n + j]) + r * n_hidden);
    r_gate[j] = r;
    z_gate[j] = z;
    n_gate[j] = m;
    n_product[j] = n_hidden;
    h[j] = kFirst ? (1.0f - z) * m : (1.0f - z) * m + z * before[j];
  }
}

template <bool kFirst, bool kLast>
void GruBackwardRow(int64_t n, const float* before, const float* dy, const float* next,
                    float* __restrict carry, float* __restrict r_gate, float* __restrict z_gate,
                    float* __restrict n_gate, float* __restrict r_product, float* __restrict z_product,
                    float* __restrict n_product) {
  for (int64_t j = 0; j < n; ++j) {
    const float r = r_gate[j], z = z_gate[j], m = n_gate[j], hidden = n_product[j];
    const float dh = (kLast ? dy[j] : dy[j] + next[j]) + carry[j];
    const float dm = dh * (1.0f - z) * TanhSlope(m);
    const float dz = dh * (kFirst ? 0.0f - m : before[j] - m) * SigmoidSlope(z);
    const float dr = dm * hidden * SigmoidSlope(r);
    r_gate[j] = r_product[j] = dr;
    z_gate[j] = z_product[j] = dz;
    n_gate[j] = dm;
    n_product[j] = dm * r;
    carry[j] = dh * z;
  }
}

}  // namespace

void LstmCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                     const float* bias_hidden, const float* recurrent, const float* c_before, float* gates,
                     float* c, float* h) {
  const int64_t n = cell.hidden;
  const auto row_of = c_before == nullptr ? &LstmForwardRow<true> : &LstmForwardRow<false>;
  for (int64_t row = begin; row < end; ++row) {
    float* a = gates + row * cell.gates_stride;
    const int64_t state = row * cell.state_stride;
    row_of(n, bias_input, bias_hidden, RowAt(recurrent, row * cell.recurrent_stride), RowAt(c_before, state),
           a, a + n, a + 2 * n, a + 3 * n, c + state, h + state);
  }
}

void LstmCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* c_before,
                      const float* c, const float* dy, const float* from_next, float* dc, float* gates) {
  const int64_t n = cell.hidden;
  const bool first = c_before == nullptr, last = from_next == nullptr;
  const auto row_of = first  ? last ? &LstmBackwardRow<true, true> : &LstmBackwardRow<true, false>
                       : last ? &LstmBackwardRow<false, true>
                             : &LstmBackwardRow<false, false>;
  for (int64_t row = begin; row < end; ++row) {
    float* a = gates + row * cell.gates_stride;
    const int64_t state = row * cell.state_stride;
    row_of(n, RowAt(c_before, state), c + state, dy + state, RowAt(from_next, row * n), dc + row * n, a,
           a + n, a + 2 * n, a + 3 * n);
  }
}

void GruCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                    const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                    float* h) {
  const int64_t n = cell.hidden;
  const auto row_of = h_before == nullptr ? &GruForwardRow<true> : &GruForwardRow<false>;
  for (int64_t row = begin; row < end; ++row) {
    float* a = gates + row * cell.gates_stride;
    float* b = recurrent + row * cell.recurrent_stride;
    const int64_t state = row * cell.state_stride;
    row_of(n, bias_input, bias_hidden, RowAt(h_before, state), a, a + n, a + 2 * n, b, b + n, b + 2 * n,
           h + state);
  }
}

void GruCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* h_before,
                     const float* dy, const float* from_next, float* carry, float* gates, float* recurrent) {
  const int64_t n = cell.hidden;
  const bool first = h_before == nullptr, last = from_next == nullptr;
  const auto row_of = first  ? last ? &GruBackwardRow<true, true> : &GruBackwardRow<true, false>
                       : last ? &GruBackwardRow<false, true>
                             : &GruBackwardRow<false, false>;
  for (int64_t row = begin; row < end; ++row) {
    float* a = gates + row * cell.gates_stride;
    float* b = recurrent + row * cell.recurrent_stride;
    const int64_t state = row * cell.state_stride;
    row_of(n, RowAt(h_before, state), dy + state, RowAt(from_next, row * n), carry + row * n, a, a + n,
           a + 2 * n, b, b + n, b + 2 * n);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
