// Bias and activation in one pass over a linear layer's output, and the activation's gradient.
//
//   forward:   z = x + bias (the same bias for every row),  y = f(z)
//   backward:  dx = dy * f'(z)
//
// Shapes: x, z, y, dy, dx (rows, width); bias (width). float32 in and out; elementwise, so bits do not depend
// on the number of rows. exp and tanh are polynomials of ours (relative error of exp below 2e-7, absolute
// error of tanh below 2e-7), the same on every instruction set. NaN stays NaN.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

enum class Activation : int {
  kIdentity = 0,
  kRelu = 1,
  kTanh = 2,
  kSigmoid = 3,
  kGelu = 4,  // tanh form
  kSilu = 5   // z sigmoid(z)
};

// What backward wants as `saved`: z for GELU and SiLU, y for the others.
inline bool SavesInput(Activation f) { return f == Activation::kGelu || f == Activation::kSilu; }

namespace cpu {
// `x` is overwritten with z. y may be x when !SavesInput(f). A null bias is 0.
void BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y);
// The same, but `x` is overwritten with f'(z), which costs little while f(z) is made; for SavesInput(f).
void BiasActivationSlopes(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y);
// Backward from those: the bits of ActivationBackward. dx may be dy.
void SlopesBackward(int64_t count, const float* slopes, const float* dy, float* dx);
// dx may be dy.
void ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx);
}  // namespace cpu

}  // namespace lockstep::kernels
