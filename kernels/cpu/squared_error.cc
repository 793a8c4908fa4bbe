#include "kernels/squared_error.h"

#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {

void SquaredError(int64_t rows, int64_t width, float scale, const float* targets, float* y, float* losses) {
  const float share = 1.0f / static_cast<float>(width);
  const float factor = 2.0f * scale * share;
  for (int64_t r = 0; r < rows; ++r) {
    float sum = 0;
    for (int64_t c = r * width; c < (r + 1) * width; ++c) {
      const float difference = y[c] - targets[c];
      sum += difference * difference;
      y[c] = difference * factor;
    }
    losses[r] = sum * share;
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
