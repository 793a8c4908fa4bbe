// The product of the stand-in: an emulated kernel, so that the emulation checks what it touches.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace lockstep::kernels::stand_in {

// By columns, as cuBLASLt: element (row, column) is at column * ld + row.
struct LtMatrix {
  const void* data;
  int64_t ld, stride;  // elements, from matrix to matrix
  bool transposed;
};

struct LtProductArguments {
  LtMatrix a, b;
  float* d;
  int64_t m, n, k, ld, stride;
  int batch, order;  // Algorithm, resolved to one that has an order
  bool bf16, add;
};

Launched LaunchLtProduct(const LtProductArguments& arguments, Stream stream);

}  // namespace lockstep::kernels::stand_in
