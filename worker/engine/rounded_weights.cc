#include "worker/engine/rounded_weights.h"

#include "kernels/gemm.h"
#include "worker/engine/team.h"

namespace lockstep::engine {
namespace {

bool Read(Precision precision) { return precision == Precision::kBf16 && kernels::cpu::ReadsRounded(); }

}  // namespace

int64_t RoundedWeights::Bytes(int64_t count, Precision precision) {
  return Read(precision) ? static_cast<int64_t>(sizeof(uint16_t)) * count : 0;
}

RoundedWeights::RoundedWeights(int64_t count, Precision precision, Team* team) : team_(team) {
  if (!Read(precision)) return;
  count_ = count;
  memory_ = ZeroedFloats((count + 1) / 2);
  TakeMemory(memory_.span());
}

void RoundedWeights::Follow(const float* weights) {
  if (current_ || count_ == 0) return;
  current_ = true;
  PrepareComputeThread();
  if (team_ == nullptr) return kernels::cpu::RoundToBf16(count_, weights, data(), false);
  team_->Run([&](const Member& member) {
    const Range share = member.Share(count_, 32);
    if (share.empty()) return;
    kernels::cpu::RoundToBf16(share.end - share.begin, weights + share.begin, data() + share.begin, false);
  });
}

}  // namespace lockstep::engine
