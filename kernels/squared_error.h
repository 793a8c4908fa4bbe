// Mean squared error, forward and backward fused and in place.
//
//   loss[r]  = sum_c (y[r][c] - t[r][c])^2 / width
//   dy[r][c] = 2 (y[r][c] - t[r][c]) * scale / width
//
// Shapes: y (rows, width), overwritten with dy; targets (rows, width); losses (rows). The sum runs from the
// first column to the last.
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

void SquaredError(int64_t rows, int64_t width, float scale, const float* targets, float* y, float* losses);

}  // namespace lockstep::kernels::cpu
