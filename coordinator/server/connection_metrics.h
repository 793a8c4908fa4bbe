// The listener's numbers as metrics.
#pragma once

#include <prometheus/collectable.h>

#include <memory>

#include "common/net/gated_listener.h"

namespace lockstep {

// `listener` is read by scrapes for as long as the result lives.
std::shared_ptr<prometheus::Collectable> MakeConnectionMetrics(const GatedListener* listener);

}  // namespace lockstep
