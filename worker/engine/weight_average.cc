#include "kernels/lerp.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"

namespace lockstep::engine {

void AverageWeights(double decay, int64_t count, const float* weights, float* average, Team* team) {
  PrepareComputeThread();
  const float share = static_cast<float>(1.0 - decay);
  if (team == nullptr) return kernels::cpu::Lerp(count, share, weights, average);
  team->Run([&](const Member& member) {
    const Range part = member.Share(count, 16);
    if (!part.empty())
      kernels::cpu::Lerp(part.end - part.begin, share, weights + part.begin, average + part.begin);
  });
}

}  // namespace lockstep::engine
