// The pointwise part of one step of an LSTM (Hochreiter & Schmidhuber 1997) and a GRU (Cho et al. 2014,
// PyTorch's form). The matrix products x W_ih^T (gates) and h W_hh^T (recurrent) are the caller's.
//
//   LSTM, a = gates + b_ih + recurrent + b_hh              order i, f, g, o
//     i, f, o = sigmoid(a), g = tanh(a)                    c' = f c + i g,  h' = o tanh(c')
//   GRU, order r, z, n
//     r, z = sigmoid(gates + b_ih + recurrent + b_hh)      hn = recurrent_n + b_hn
//     n = tanh(gates_n + b_in + r hn)                      h' = (1 - z) n + z h
//
// Backward is given dh' = dy + from_next and leaves the gradient of the products:
//
//   LSTM  dc += dh' o (1 - tanh(c')^2); gates = d a; dc = dc f for the step before
//   GRU   gates = d (gates), recurrent = d (recurrent); carry = dh' z for the step before
//
// Shapes: row r of a buffer is at r * its stride: gates (4 or 3 hidden), recurrent likewise, c and h (hidden)
// in buffers of all steps, so that a stride is that of a sample; dc, carry, from_next (rows, hidden), dense.
// Null where there is no step before (zeros) or after. Elementwise: bits depend on the element alone; any
// range of rows.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

struct RecurrentCell {
  int64_t hidden = 0;
  int64_t gates_stride = 0;
  int64_t recurrent_stride = 0;
  int64_t state_stride = 0;  // of c, c_before, h, h_before, dy
};

namespace cpu {
// gates: products in, activations out.
void LstmCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                     const float* bias_hidden, const float* recurrent, const float* c_before, float* gates,
                     float* c, float* h);
// gates: activations in, gradients of `a` out.
void LstmCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* c_before,
                      const float* c, const float* dy, const float* from_next, float* dc, float* gates);

// gates: products in, activations out; recurrent: products in, hn out in its last third.
void GruCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                    const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                    float* h);
// gates, recurrent: what forward left in, gradients of the products out.
void GruCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* h_before,
                     const float* dy, const float* from_next, float* carry, float* gates, float* recurrent);
}  // namespace cpu

}  // namespace lockstep::kernels
