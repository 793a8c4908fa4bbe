#include "worker/engine/row_invariance.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "common/numerics/philox.h"
#include "kernels/gemm.h"

namespace lockstep::engine {
namespace {

std::vector<float> RandomMatrix(int64_t count, uint64_t stream) {
  std::vector<float> out(count);
  const uint64_t purpose = uint64_t{static_cast<uint32_t>(RandomPurpose::kTest)} << 56;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = UniformFromBits(Philox(stream, purpose, static_cast<uint64_t>(i)).value[0]) - 0.5f;
  }
  return out;
}

RowInvariance Measure(int64_t rows, int64_t rows_per_call, int64_t n, int64_t k) {
  const std::vector<float> a = RandomMatrix(rows * k, 1), b = RandomMatrix(k * n, 2);
  std::vector<float> whole(rows * n), parts(rows * n);
  const auto same = [&](int64_t rows_per_part) {
    GemmInCalls(rows, rows_per_part, n, k, a.data(), b.data(), parts.data());
    return std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)) == 0;
  };
  GemmInCalls(rows, rows, n, k, a.data(), b.data(), whole.data());
  RowInvariance result;
  result.shards = same(rows_per_call);
  result.rows = same(1);
  return result;
}

}  // namespace

RowInvariance CheckRowInvariance(int64_t rows, int64_t rows_per_call, int64_t n, int64_t k) {
  static std::mutex mutex;
  static auto& known = *new std::map<std::array<int64_t, 4>, RowInvariance>;
  std::lock_guard lock(mutex);
  const auto [entry, fresh] = known.try_emplace({rows, rows_per_call, n, k});
  if (fresh) entry->second = Measure(rows, rows_per_call, n, k);
  return entry->second;
}

void GemmInCalls(int64_t rows, int64_t rows_per_call, int64_t n, int64_t k, const float* a, const float* b,
                 float* c) {
  for (int64_t r = 0; r < rows; r += rows_per_call) {
    kernels::cpu::Gemm(std::min(rows_per_call, rows - r), n, k, a + r * k, k, b, n, c + r * n, n);
  }
}

}  // namespace lockstep::engine
