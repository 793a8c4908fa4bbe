#include "worker/engine/rounded_weights.h"

#include "kernels/gemm.h"

namespace lockstep::engine {
namespace {

bool Read(Precision precision) { return precision == Precision::kBf16 && kernels::cpu::ReadsRounded(); }

}  // namespace

int64_t RoundedWeights::Bytes(int64_t count, Precision precision) {
  return Read(precision) ? static_cast<int64_t>(sizeof(uint16_t)) * count : 0;
}

RoundedWeights::RoundedWeights(int64_t count, Precision precision, const kernels::Rounding& rounding,
                               Optimizer* optimizer)
    : stochastic_(rounding.stochastic), optimizer_(optimizer) {
  if (!Read(precision)) return;
  count_ = count;
  memory_ = ZeroedFloats((count + 1) / 2);
  TakeMemory(memory_.span());
  optimizer_->KeepRounded(data(), rounding);
}

void RoundedWeights::Follow(const float* weights, int64_t step) {
  if (count_ == 0 || (current_ && (!stochastic_ || step_ == step))) return;
  optimizer_->Round(weights, step);
  current_ = true;
  step_ = step;
}

}  // namespace lockstep::engine
