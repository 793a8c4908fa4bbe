// The nearest matrix with orthonormal rows (or columns, where there are more rows), roughly: all singular
// values are brought near 1 by five quintic Newton-Schulz iterations (Jordan et al. 2024, with
// torch.optim.Muon's coefficients, in float32 where PyTorch computes in bfloat16):
//
//   X = M / max(|M|, 1e-7);  5 times:  G = X X^T;  X = a X + (b G + c G G) X,  (a, b, c) = (3.4445,
//   -4.775, 2.0315)
//
// on the orientation with rows <= columns. Singular values end between about 0.68 and 1.14. Products by
// kernels/gemm.h on the calling thread: 5 * (4 r^2 k + 2 r^3) FLOPs for r = min(rows, columns), k = the
// other.
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

// Floats of scratch for NewtonSchulz of this shape.
int64_t NewtonSchulzScratch(int64_t rows, int64_t columns);

// `matrix` (rows, columns) in place.
void NewtonSchulz(int64_t rows, int64_t columns, float* matrix, float* scratch);

}  // namespace lockstep::kernels::cpu
