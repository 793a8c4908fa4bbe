// The kernels of sequence models at the shapes of a small GPT and of GPT-2. Bytes count what is read and
// written once, FLOPs the multiply-adds of the products (twice each); causal attention counts the half that
// it needs.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "bench/kernels/bench_support.h"
#include "kernels/arrange.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/recurrent_cell.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"

namespace {

using namespace lockstep::kernels;

struct Attention {
  AttentionShape shape;
  int64_t rows;
  std::vector<float> fused, y, sums, dy, dfused, scratch;

  // Arguments: rows, steps, heads, head width, causal.
  explicit Attention(const benchmark::State& state) : rows(state.range(0)) {
    const int64_t steps = state.range(1), heads = state.range(2), width = state.range(3);
    const int64_t stride = 3 * heads * width;
    shape = {steps,  heads,  heads, width, state.range(4) != 0, 1.0f / std::sqrt(static_cast<float>(width)),
             stride, stride, stride};
    fused = Values(rows * steps * stride);
    dfused = fused;
    y = dy = Values(rows * steps * heads * width);
    sums.resize(rows * heads * steps);
    scratch.resize(AttentionScratch(shape));
  }
  void Forward() {
    const float* q = fused.data();
    const int64_t width = shape.heads * shape.head_width;
    cpu::AttentionForward(shape, 0, rows * shape.heads, q, q + width, q + 2 * width, y.data(), sums.data(),
                          scratch.data());
  }
  void Backward() {
    const float* q = fused.data();
    float* dq = dfused.data();
    const int64_t width = shape.heads * shape.head_width;
    cpu::AttentionBackward(shape, 0, rows * shape.heads, q, q + width, q + 2 * width, y.data(), sums.data(),
                           dy.data(), dq, dq + width, dq + 2 * width, scratch.data());
  }
  double Product() const {  // of steps x steps scores with a matrix of values
    const auto steps = static_cast<double>(shape.steps);
    const double pairs = shape.causal ? steps * (steps + 1) / 2 : steps * steps;
    return 2.0 * static_cast<double>(rows * shape.heads * shape.head_width) * pairs;
  }
};

void AttentionForward(benchmark::State& state) {
  cpu::PrepareThread();
  Attention at(state);
  for (auto _ : state) at.Forward();
  Flops(state, 2 * at.Product());
}
void AttentionBackward(benchmark::State& state) {
  cpu::PrepareThread();
  Attention at(state);
  at.Forward();
  for (auto _ : state) at.Backward();
  Flops(state, 5 * at.Product());
}
void Shapes(benchmark::internal::Benchmark* bench) {
  bench->Args({12, 64, 4, 32, 1})
      ->Args({4, 64, 12, 64, 1})
      ->Args({1, 1024, 12, 64, 1})
      ->Args({1, 512, 8, 128, 0});
}
BENCHMARK(AttentionForward)->Apply(Shapes);
BENCHMARK(AttentionBackward)->Apply(Shapes);

// Arguments: rows, width.
void LayerNormForward(benchmark::State& state) {
  const int64_t rows = state.range(0), width = state.range(1);
  std::vector<float> x = Values(rows * width), y(x), gamma = Values(width), mean(rows), rstd(rows);
  for (auto _ : state) {
    cpu::LayerNormForward(rows, width, 1e-5f, gamma.data(), gamma.data(), x.data(), y.data(), mean.data(),
                          rstd.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * width * 8);
}
void LayerNormBackward(benchmark::State& state) {
  const int64_t rows = state.range(0), width = state.range(1);
  std::vector<float> x = Values(rows * width), dy(x), dx(x), gamma = Values(width), mean(rows, 0.1f),
                     rstd(rows, 0.9f);
  for (auto _ : state) {
    cpu::LayerNormBackward(rows, width, gamma.data(), x.data(), mean.data(), rstd.data(), dy.data(), false,
                           dx.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * width * 12);
}
void NormParameterGradients(benchmark::State& state) {
  const int64_t rows = state.range(0), width = state.range(1);
  std::vector<float> x = Values(rows * width), dy(x), mean(rows, 0.1f), rstd(rows, 0.9f), out(2 * width);
  const std::vector<int> counts(8, static_cast<int>(rows / 8));
  const int end = 8;
  for (auto _ : state) {
    cpu::NormParameterGradients({counts[0], counts.data(), 1, &end}, width, 0, width, x.data(), mean.data(),
                                rstd.data(), dy.data(), out.data(), out.data() + width, 0);
  }
  state.SetBytesProcessed(state.iterations() * rows * width * 8);
}
BENCHMARK(LayerNormForward)->Args({768, 128})->Args({256, 768});
BENCHMARK(LayerNormBackward)->Args({768, 128})->Args({256, 768});
BENCHMARK(NormParameterGradients)->Args({768, 128})->Args({256, 768});

// Arguments: places, vocabulary, width.
void EmbeddingGradient(benchmark::State& state) {
  const int64_t places = state.range(0), vocabulary = state.range(1), width = state.range(2);
  std::vector<int32_t> tokens(places), place(places), begin(places + 1), token(places),
      scratch(BucketScratch(places));
  for (int64_t i = 0; i < places; ++i) tokens[i] = static_cast<int32_t>(i * 7919 % vocabulary);
  const std::vector<float> dy = Values(places * width);
  std::vector<float> out(vocabulary * width);
  const std::vector<int> counts(8, static_cast<int>(places / 8));
  const int end = 8;
  const ShardTree tree{counts[0], counts.data(), 1, &end};
  TokenBuckets buckets{place.data(), begin.data(), token.data(), 0};
  for (auto _ : state) {
    cpu::BucketTokens(tree, tokens.data(), scratch.data(), buckets);
    cpu::EmbeddingBackward(tree, buckets, 0, buckets.count, width, dy.data(), out.data(), 0);
  }
  state.SetBytesProcessed(state.iterations() * places * width * 4);
}
BENCHMARK(EmbeddingGradient)->Args({768, 65, 128})->Args({256, 50257, 768});

void Rope(benchmark::State& state) {
  const RopeShape shape{64, 12, 64, 768};
  std::vector<float> cosine(64 * 32), sine(64 * 32), x = Values(4 * 64 * 768);
  cpu::RopeTable(64, 64, 10000, cosine.data(), sine.data());
  for (auto _ : state) cpu::RopeForward(shape, 4, cosine.data(), sine.data(), x.data());
  state.SetBytesProcessed(state.iterations() * 4 * 64 * 768 * 8);
}
BENCHMARK(Rope);

void SwiGlu(benchmark::State& state) {
  const int64_t count = 256 * 2048;
  std::vector<float> gate = Values(count), up = gate, y(count);
  for (auto _ : state) cpu::SwiGluForward(count, gate.data(), up.data(), y.data());
  state.SetBytesProcessed(state.iterations() * count * 12);
}
void SwiGluBackward(benchmark::State& state) {
  const int64_t count = 256 * 2048;
  std::vector<float> gate = Values(count), up = gate, dy = gate, dgate(count), dup(count);
  for (auto _ : state) {
    cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), false, dgate.data(), dup.data());
  }
  state.SetBytesProcessed(state.iterations() * count * 20);
}
BENCHMARK(SwiGlu);
BENCHMARK(SwiGluBackward);

// Arguments: rows, classes.
void TokenCrossEntropy(benchmark::State& state) {
  const int64_t rows = state.range(0), classes = state.range(1);
  std::vector<float> logits = Values(rows * classes), losses(rows), correct(rows);
  const std::vector<int32_t> labels(rows, 7);
  for (auto _ : state) {
    cpu::SoftmaxCrossEntropy(rows, classes, 1.0f, labels.data(), logits.data(), losses.data(),
                             correct.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * classes * 8);
}
BENCHMARK(TokenCrossEntropy)->Args({768, 65})->Args({16, 50257});

void LstmCell(benchmark::State& state) {
  const int64_t rows = 64, hidden = 128;
  const RecurrentCell cell{hidden, 4 * hidden, 4 * hidden, hidden};
  std::vector<float> gates = Values(rows * 4 * hidden), product = gates, c(rows * hidden), h(c),
                     before = Values(c.size()), bias = Values(4 * hidden);
  for (auto _ : state) {
    cpu::LstmCellForward(cell, 0, rows, bias.data(), bias.data(), product.data(), before.data(), gates.data(),
                         c.data(), h.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * hidden * 4 * 15);
}
BENCHMARK(LstmCell);

void GruCell(benchmark::State& state) {
  const int64_t rows = 64, hidden = 128;
  const RecurrentCell cell{hidden, 3 * hidden, 3 * hidden, hidden};
  std::vector<float> gates = Values(rows * 3 * hidden), product = gates, h(rows * hidden),
                     before = Values(h.size()), bias = Values(3 * hidden);
  for (auto _ : state) {
    cpu::GruCellForward(cell, 0, rows, bias.data(), bias.data(), before.data(), gates.data(), product.data(),
                        h.data());
  }
  state.SetBytesProcessed(state.iterations() * rows * hidden * 4 * 14);
}
BENCHMARK(GruCell);

void PermuteAxes(benchmark::State& state) {
  const Permutation swap{3, {64, 12, 64}, {1, 0, 2}}, turn{2, {256, 768}, {1, 0}};
  const std::vector<float> in = Values(4 * 64 * 768);
  std::vector<float> out(in.size());
  for (auto _ : state)
    cpu::Permute(state.range(0) == 0 ? swap : turn, state.range(0) == 0 ? 4 : 1, in.data(), false,
                 out.data());
  state.SetBytesProcessed(state.iterations() * 4 * 64 * 768 * 8);
}
BENCHMARK(PermuteAxes)->Arg(0)->Arg(1);

}  // namespace
