#include "worker/engine/products.h"

#include <algorithm>

namespace lockstep::engine {
namespace {

struct Rectangle {
  Range rows, columns;
};

// The longer side is divided.
Rectangle PartOf(const Member& member, int64_t rows, int64_t columns) {
  if (rows >= columns) return {member.Share(rows, 12), {0, columns}};
  return {{0, rows}, member.Share(columns, 32)};
}

}  // namespace

int64_t ProductScratch(int64_t rows) {
  return std::max(kernels::kGemmScratch, (kernels::OuterProductScratch(rows) + 15) / 16 * 16);
}

void SharedGemm(const Member& member, kernels::GemmType type, const kernels::GemmArguments& whole,
                float* scratch) {
  const Rectangle part = PartOf(member, whole.m, whole.n);
  kernels::GemmArguments mine = whole;
  mine.m = part.rows.end - part.rows.begin;
  mine.n = part.columns.end - part.columns.begin;
  if (mine.m == 0 || mine.n == 0) return;
  mine.a += part.rows.begin * whole.lda;
  const int64_t before = part.columns.begin * (whole.b_transposed ? whole.ldb : 1);
  mine.b += before;
  if (mine.b_rounded != nullptr) mine.b_rounded += before;
  mine.c += part.rows.begin * whole.ldc + part.columns.begin;
  kernels::cpu::Gemm(type, mine, scratch);
}

void SharedOuterProduct(const Member& member, kernels::GemmType type, const kernels::ShardTree& tree,
                        const kernels::OuterProduct& whole, float* scratch) {
  const Rectangle part = PartOf(member, whole.m, whole.n);
  kernels::OuterProduct mine = whole;
  mine.row_begin = part.rows.begin;
  mine.row_end = part.rows.end;
  mine.column_begin = part.columns.begin;
  mine.column_end = part.columns.end;
  kernels::cpu::ShardOuterProduct(type, tree, mine, scratch);
}

}  // namespace lockstep::engine
