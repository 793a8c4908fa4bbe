// The autoscaler's numbers as metrics.
#pragma once

#include <prometheus/collectable.h>

#include <memory>

#include "coordinator/autoscale/autoscaler.h"

namespace lockstep {

// `autoscaler` is read by scrapes for as long as the result lives; nullptr: there are no such metrics.
std::shared_ptr<prometheus::Collectable> MakeAutoscaleMetrics(const Autoscaler* autoscaler);

}  // namespace lockstep
