#include "coordinator/jobs/queue_waits.h"

#include <algorithm>

namespace lockstep {

void QueueWaits::Add(absl::Duration wait) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(wait));
  ++counts[static_cast<size_t>(std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin())];
  sum += seconds;
}

}  // namespace lockstep
