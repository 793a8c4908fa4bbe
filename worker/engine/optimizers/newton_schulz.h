// The nearest matrix with orthonormal rows (or columns, where there are more rows), roughly: all singular
// values are brought near 1 by five quintic Newton-Schulz iterations (Jordan et al. 2024, with
// torch.optim.Muon's coefficients, in float32 where PyTorch computes in bfloat16):
//
//   X = M / max(|M|, 1e-7);  5 times:  G = X X^T;  X = a X + (b G + c G G) X,  (a, b, c) = (3.4445,
//   -4.775, 2.0315)
//
// on the orientation with rows <= columns. 5 * (4 r^2 k + 2 r^3) FLOPs for r = min(rows, columns), k = the
// other.
#pragma once

#include <cstdint>

#include "worker/engine/team.h"

namespace lockstep::engine {

inline constexpr int kNewtonSchulzIterations = 5;
inline constexpr float kNewtonSchulzA = 3.4445f, kNewtonSchulzB = -4.775f, kNewtonSchulzC = 2.0315f;
inline constexpr double kNewtonSchulzLeastNorm = 1e-7;

// Floats of scratch for a matrix of this shape and a team of this size; 64-byte aligned.
int64_t NewtonSchulzScratch(int64_t rows, int64_t columns, int threads);

// `matrix` (rows, columns) in place; every member calls it. Returns to each member after a barrier.
void NewtonSchulz(const Member& member, int64_t rows, int64_t columns, float* matrix, float* scratch);

}  // namespace lockstep::engine
