// Rotary position embedding (Su et al. 2021) in the form of Llama and Hugging Face ("rotate half"): the pair
// of a head's column i is column i + half, half = head_width / 2.
//
//   angle(t, i)  = t * theta^(-2 i / head_width)
//   y[i]         = x[i] cos - x[i + half] sin
//   y[i + half]  = x[i + half] cos + x[i] sin
//   backward     : the rotation by the negative angle
//
// Shapes: x (rows, steps, heads, head_width) in place, steps `stride` floats apart; cosine, sine (steps,
// half). Elementwise. REQUIRES: head_width is even.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

struct RopeShape {
  int64_t steps = 0;
  int64_t heads = 0;
  int64_t head_width = 0;
  int64_t stride = 0;  // floats from one step to the next; rows are steps * stride apart
};

namespace cpu {
// Angles in double, rounded once.
void RopeTable(int64_t steps, int64_t head_width, double theta, float* cosine, float* sine);

void RopeForward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* x);
void RopeBackward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* dx);
}  // namespace cpu

}  // namespace lockstep::kernels
