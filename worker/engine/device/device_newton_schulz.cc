#include "worker/engine/device/device_newton_schulz.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/arrange.h"
#include "kernels/cuda/combine.h"
#include "kernels/cuda/flat_update.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/update.h"
#include "worker/engine/device/arena.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/optimizers/newton_schulz.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;

struct ScratchPlaces {
  ScratchPlaces(int64_t rows, int64_t columns) {
    const int64_t small = std::min(rows, columns), size = rows * columns;
    next = layout.Add(size * int64_t{sizeof(float)});
    gram = layout.Add(small * small * int64_t{sizeof(float)});
    square = layout.Add(small * small * int64_t{sizeof(float)});
    squares = layout.Add(sizeof(double));
    of_squares = layout.Add(kernels::cuda::RegularizeScratch(size) * int64_t{sizeof(double)});
  }
  DeviceLayout layout;
  int64_t next, gram, square, squares, of_squares;
};

Launched TransposeMatrix(int64_t rows, int64_t columns, const float* from, float* to,
                         kernels::Stream stream) {
  return kernels::cuda::Permute({2, {rows, columns}, {1, 0}}, 1, from, false, to, stream);
}

}  // namespace

int64_t DeviceNewtonSchulzScratch(int64_t rows, int64_t columns) {
  return ScratchPlaces(rows, columns).layout.total();
}

Launched DeviceNewtonSchulz(int64_t rows, int64_t columns, float* matrix, char* scratch, const float** result,
                            kernels::Stream stream) {
  const ScratchPlaces at(rows, columns);
  const int64_t r = std::min(rows, columns), k = std::max(rows, columns), size = r * k;
  const auto floats = [&](int64_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  float* x = matrix;              // (r, k)
  float* next = floats(at.next);  // (r, k)
  float *const gram = floats(at.gram), *const square = floats(at.square);
  auto* const squares = reinterpret_cast<double*>(scratch + at.squares);
  const bool turned = rows > columns;
  if (turned) {
    RETURN_IF_NOT_LAUNCHED(TransposeMatrix(rows, columns, x, next, stream));
    std::swap(x, next);
  }
  RETURN_IF_NOT_LAUNCHED(kernels::cuda::Regularize(
      size, 0, 0, x, x, squares, reinterpret_cast<double*>(scratch + at.of_squares), stream));
  RETURN_IF_NOT_LAUNCHED(kernels::cuda::FlatNormalise(size, squares, kNewtonSchulzLeastNorm, x, stream));
  for (int i = 0; i < kNewtonSchulzIterations; ++i) {
    RETURN_IF_NOT_LAUNCHED(
        kernels::cuda::Gemm(kernels::GemmType::kFp32, {r, r, k, x, k, x, k, true, gram, r, false}, stream));
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::Gemm(kernels::GemmType::kFp32,
                                               {r, r, r, gram, r, gram, r, false, square, r, false}, stream));
    RETURN_IF_NOT_LAUNCHED(
        kernels::cuda::Combine(r * r, kNewtonSchulzB, gram, kNewtonSchulzC, square, stream));
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::Gemm(kernels::GemmType::kFp32,
                                               {r, k, r, square, r, x, k, false, next, k, false}, stream));
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::Combine(size, kNewtonSchulzA, x, 1.0f, next, stream));
    std::swap(x, next);
  }
  *result = turned ? next : x;
  return turned ? TransposeMatrix(r, k, x, next, stream) : Launched();
}

}  // namespace lockstep::engine
