// What the kernels' benchmarks share: inputs, and the counters of work done.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

namespace lockstep::kernels {

// Values in [-1, 1], none of them special.
inline std::vector<float> Values(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = static_cast<float>(i % 97) / 48.0f - 1.0f;
  return out;
}

inline void Flops(benchmark::State& state, double per_call) {
  state.counters["FLOPS"] = benchmark::Counter(per_call, benchmark::Counter::kIsIterationInvariantRate,
                                               benchmark::Counter::kIs1000);
}

}  // namespace lockstep::kernels
