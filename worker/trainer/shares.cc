#include "worker/trainer/shares.h"

#include <algorithm>
#include <numeric>

namespace lockstep {

Shares ShareOut(int64_t weights, const std::vector<int64_t>& tensors, int world) {
  Shares shares;
  shares.part.assign(static_cast<size_t>(world), -1);
  const double total = static_cast<double>(std::accumulate(tensors.begin(), tensors.end(), weights));
  double before = static_cast<double>(weights);
  for (const int64_t bytes : tensors) {
    // Whoever's stretch of all bytes its middle lies in.
    const double middle = before + static_cast<double>(bytes) / 2;
    const int rank = total > 0 ? std::min(world - 1, static_cast<int>(middle / total * world)) : 0;
    shares.owner.push_back(rank);
    if (shares.part[rank] < 0) shares.part[rank] = shares.parts++;
    before += static_cast<double>(bytes);
  }
  return shares;
}

}  // namespace lockstep
