// May several shards share one matrix product? Only where a row's bits do not depend on the rows beside it,
// which differs by processor, library and shape; so it is tried, once for each shape in a process.
#pragma once

#include <cstdint>

namespace lockstep::engine {

struct RowInvariance {
  bool shards = false;  // a product over all rows has the bits of one product per shard
  bool rows = false;    // ... and of one product per row
};

// Multiplies random (rows, k) by (k, n) in one call, in calls of rows_per_call, and row by row, and compares
// bits. Thread-safe; the answer for a shape is remembered.
RowInvariance CheckRowInvariance(int64_t rows, int64_t rows_per_call, int64_t n, int64_t k);

// c (rows, n) = a (rows, k) * b (k, n), all dense, in calls of `rows_per_call` rows.
void GemmInCalls(int64_t rows, int64_t rows_per_call, int64_t n, int64_t k, const float* a, const float* b,
                 float* c);

}  // namespace lockstep::engine
