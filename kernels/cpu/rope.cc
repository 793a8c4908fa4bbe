#include "kernels/rope.h"

#include <math.h>

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

void Rotate(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float direction,
            float* x) {
  const int64_t half = shape.head_width / 2;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < shape.steps; ++t, x += shape.stride) {
      const float* __restrict c = cosine + t * half;
      const float* __restrict s = sine + t * half;
      for (int64_t head = 0; head < shape.heads; ++head) {
        float* __restrict low = x + head * shape.head_width;
        float* __restrict high = low + half;
        for (int64_t i = 0; i < half; ++i) {
          const float turn = direction * s[i], a = low[i], b = high[i];
          low[i] = a * c[i] - b * turn;
          high[i] = b * c[i] + a * turn;
        }
      }
    }
  }
}

}  // namespace

void RopeTable(int64_t steps, int64_t head_width, double theta, float* cosine, float* sine) {
  const int64_t half = head_width / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double frequency = pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_width));
    for (int64_t t = 0; t < steps; ++t) {
      const double angle = static_cast<double>(t) * frequency;
      cosine[t * half + i] = static_cast<float>(cos(angle));
      sine[t * half + i] = static_cast<float>(sin(angle));
    }
  }
}

void RopeForward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* x) {
  Rotate(shape, rows, cosine, sine, 1.0f, x);
}
void RopeBackward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* dx) {
  Rotate(shape, rows, cosine, sine, -1.0f, dx);
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
