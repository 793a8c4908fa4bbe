// The followers' numbers as metrics, one sample for each sink.
#pragma once

#include <prometheus/collectable.h>

#include <memory>

#include "coordinator/tracking/tracking.h"

namespace lockstep {

// `tracking` is read by scrapes for as long as the result lives.
std::shared_ptr<prometheus::Collectable> MakeTrackingMetrics(const Tracking* tracking);

}  // namespace lockstep
