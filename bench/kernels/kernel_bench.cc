// Each CPU kernel at the digits MLP's shapes and at larger ones. Bytes count what is read and written once.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "bench/kernels/bench_support.h"
#include "kernels/activation.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/gemm.h"
#include "kernels/shard_outer.h"
#include "kernels/tree_add.h"

namespace {

using namespace lockstep::kernels;

// Floats on a line's edge, as the engine's memory plan lays them: a tile's row in two lines is twice the
// loads.
class Aligned {
 public:
  explicit Aligned(int64_t count) : floats_(count + 16) {}
  explicit Aligned(const std::vector<float>& values) : Aligned(static_cast<int64_t>(values.size())) {
    std::copy(values.begin(), values.end(), data());
  }
  float* data() {
    void* at = floats_.data();
    size_t room = floats_.size() * sizeof(float);
    return static_cast<float*>(std::align(64, room - 64, at, room));
  }

 private:
  std::vector<float> floats_;
};

// Arguments: m, n, k, b transposed, bf16.
void Gemm(benchmark::State& state) {
  cpu::PrepareThread();
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const GemmType type = state.range(4) ? GemmType::kBf16 : GemmType::kFp32;
  if (state.range(4) && !cpu::HasBf16()) return state.SkipWithError("no AVX512_BF16");
  Aligned a(Values(m * k)), b(Values(k * n)), c(m * n), scratch(kGemmScratch);
  const bool transposed = state.range(3) != 0;
  const GemmArguments arguments{m,          n,        k, a.data(), k, b.data(), transposed ? k : n,
                                transposed, c.data(), n, false};
  for (auto _ : state) cpu::Gemm(type, arguments, scratch.data());
  Flops(state, 2.0 * static_cast<double>(m * n * k));
}
BENCHMARK(Gemm)
    ->Args({64, 128, 64, 1, 0})
    ->Args({64, 64, 128, 0, 0})
    ->Args({768, 512, 128, 1, 0})
    ->Args({256, 3072, 768, 1, 0})
    ->Args({256, 768, 3072, 0, 0})
    ->Args({256, 3072, 768, 1, 1})
    ->Args({256, 768, 3072, 0, 1})
    ->Args({256, 768, 768, 1, 1});

void Transpose(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1);
  std::vector<float> in = Values(rows * columns), out(rows * columns);
  for (auto _ : state) cpu::Transpose(rows, columns, in.data(), out.data());
  state.SetBytesProcessed(state.iterations() * rows * columns * 8);
}
BENCHMARK(Transpose)->Args({128, 64})->Args({64, 128})->Args({10, 64})->Args({1024, 1024});

// Arguments: rows of each of 8 shards, m, n, bf16.
void ShardOuterProduct(benchmark::State& state) {
  const GemmType type = state.range(3) ? GemmType::kBf16 : GemmType::kFp32;
  if (state.range(3) && !cpu::HasBf16()) return state.SkipWithError("no AVX512_BF16");
  const int64_t rows = state.range(0), m = state.range(1), n = state.range(2);
  Aligned a(Values(8 * rows * m)), b(Values(8 * rows * n)), out(m * n);
  std::vector<int> counts(8, static_cast<int>(rows));
  const int end = 8;
  const ShardTree tree{static_cast<int>(rows), counts.data(), 1, &end};
  Aligned scratch(OuterProductScratch(8 * rows));
  const OuterProduct product{m, n, a.data(), m, b.data(), n, out.data(), 0, 0, m, 0, n, {}};
  for (auto _ : state) cpu::ShardOuterProduct(type, tree, product, scratch.data());
  Flops(state, 2.0 * 8 * rows * m * n);
}
BENCHMARK(ShardOuterProduct)
    ->Args({8, 128, 64, 0})
    ->Args({8, 64, 128, 0})
    ->Args({8, 10, 64, 0})
    ->Args({64, 1024, 1024, 0})
    ->Args({64, 1024, 1024, 1});

void BiasActivation(benchmark::State& state) {
  const auto f = static_cast<Activation>(state.range(0));
  std::vector<float> bias = Values(128), x = Values(64 * 128), y(64 * 128);
  for (auto _ : state) cpu::BiasActivationForward(f, 64, 128, bias.data(), x.data(), y.data());
  state.SetItemsProcessed(state.iterations() * 64 * 128);
}
BENCHMARK(BiasActivation)->DenseRange(0, 4);

void Dropout(benchmark::State& state) {
  std::vector<float> x = Values(64 * 128), y(64 * 128);
  std::vector<uint8_t> mask(64 * 128);
  DropoutKey key;
  for (auto _ : state) {
    ++key.step;
    cpu::DropoutForward(key, 0.1, 64, 128, x.data(), y.data(), mask.data());
  }
  state.SetItemsProcessed(state.iterations() * 64 * 128);
}
BENCHMARK(Dropout);

void SoftmaxCrossEntropy(benchmark::State& state) {
  const int64_t rows = 64, classes = state.range(0);
  const std::vector<float> logits = Values(rows * classes);
  std::vector<float> work(logits), losses(rows), correct(rows);
  std::vector<int32_t> labels(rows);
  for (int64_t r = 0; r < rows; ++r) labels[r] = static_cast<int32_t>(r % classes);
  for (auto _ : state) {
    work = logits;
    cpu::SoftmaxCrossEntropy(rows, classes, 1.0f / 64, labels.data(), work.data(), losses.data(),
                             correct.data());
  }
  state.SetItemsProcessed(state.iterations() * rows * classes);
}
BENCHMARK(SoftmaxCrossEntropy)->Arg(10)->Arg(1000);

void TreeAdd(benchmark::State& state) {
  const int64_t count = state.range(0);
  std::vector<float> source = Values(count), target(count);
  for (auto _ : state) cpu::TreeAddInto(count, source.data(), target.data());
  state.SetBytesProcessed(state.iterations() * count * 12);
}
BENCHMARK(TreeAdd)->Arg(17226)->Arg(1 << 22);

}  // namespace
