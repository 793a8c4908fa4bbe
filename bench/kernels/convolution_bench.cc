// Convolutions of the MNIST CNN (batch 64 in 8 shards) and of ResNet-18 on 32x32 images (batch 32 in 8
// shards), on one thread. FLOPS counts 2 * rows * out pixels * kernel^2 * channels / groups * outputs,
// padding included, as usual.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/convolution.h"

namespace {

using namespace lockstep::kernels;

// On a cache line, as the engine's buffers are.
struct Aligned {
  explicit Aligned(int64_t count) : memory(count + 16) {}
  float* data() { return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64 / 4; }
  float& operator[](int64_t i) { return data()[i]; }
  std::vector<float> memory;
};

Aligned Values(int64_t count) {
  Aligned out(count);
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(i % 97) / 48.0f - 1.0f;
  return out;
}

// Arguments: rows of each of 8 shards, height = width, channels, outputs, kernel, stride, padding.
struct Layer {
  explicit Layer(const benchmark::State& state)
      : shape{state.range(1), state.range(1), state.range(2), state.range(3),
              state.range(4), state.range(5), state.range(6), 1},
        rows(8 * state.range(0)),
        x(Values(rows * shape.height * shape.width * shape.channels)),
        w(Values(shape.outputs * shape.channels * shape.kernel * shape.kernel)),
        packed(cpu::ConvolutionPackedSize(shape)),
        scratch(cpu::ConvolutionScratch(shape)),
        y(Values(rows * Out() * Out() * shape.outputs)) {
    const int64_t out = Out();
    flops = 2.0 * static_cast<double>(rows * out * out * shape.outputs) *
            static_cast<double>(shape.kernel * shape.kernel * shape.channels);
  }
  int64_t Out() const { return ConvolvedExtent(shape.height, shape.kernel, shape.stride, shape.padding); }
  void Pack(bool backward) {
    cpu::ConvolutionPack(shape, backward, 0, cpu::ConvolutionPackUnits(shape, backward), w.data(),
                         packed.data());
  }
  void Report(benchmark::State& state) const {
    state.counters["FLOPS"] =
        benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
  }
  const ConvolutionShape shape;
  const int64_t rows;
  double flops;
  Aligned x, w, packed, scratch, y;
};

// Both with the packing that each step needs.
void Forward(benchmark::State& state) {
  Layer layer(state);
  for (auto _ : state) {
    layer.Pack(false);
    cpu::ConvolutionForward(layer.shape, 0, layer.rows, layer.x.data(), layer.packed.data(), {},
                            layer.y.data(), layer.scratch.data());
  }
  layer.Report(state);
}

void InputGradient(benchmark::State& state) {
  Layer layer(state);
  for (auto _ : state) {
    layer.Pack(true);
    cpu::ConvolutionInputGradient(layer.shape, 0, layer.rows, layer.y.data(), layer.packed.data(), false,
                                  layer.x.data(), layer.scratch.data());
  }
  layer.Report(state);
}

void WeightGradient(benchmark::State& state) {
  Layer layer(state);
  const std::vector<int> counts(8, static_cast<int>(state.range(0)));
  const int end = 8;
  const ShardTree tree{static_cast<int>(state.range(0)), counts.data(), 1, &end};
  Aligned bias(layer.shape.outputs), scratch(cpu::ConvolutionWeightScratch(layer.shape, 8));
  for (auto _ : state) {
    cpu::ConvolutionWeightGradient(layer.shape, tree, 0, cpu::ConvolutionWeightUnits(layer.shape),
                                   layer.x.data(), layer.y.data(), layer.w.data(), bias.data(), 0,
                                   scratch.data());
  }
  layer.Report(state);
}

void Shapes(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond);
  bench->Args({8, 28, 1, 32, 3, 1, 0})->Args({8, 26, 32, 64, 3, 1, 0});
  bench->Args({4, 32, 3, 64, 3, 1, 1})->Args({4, 32, 64, 64, 3, 1, 1})->Args({4, 16, 128, 128, 3, 1, 1});
  bench->Args({4, 8, 256, 256, 3, 1, 1})->Args({4, 4, 512, 512, 3, 1, 1});
  bench->Args({4, 32, 64, 128, 3, 2, 1})->Args({4, 8, 256, 512, 3, 2, 1})->Args({4, 32, 64, 128, 1, 2, 0});
}
BENCHMARK(Forward)->Apply(Shapes);
BENCHMARK(InputGradient)->Apply(Shapes);
BENCHMARK(WeightGradient)->Apply(Shapes);

}  // namespace
