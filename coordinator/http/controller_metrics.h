// The controller's numbers as metrics, computed at each scrape from one consistent snapshot.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>

#include "coordinator/jobs/controller.h"

namespace lockstep {

// `snapshot` is called by scrapes, on the HTTP server's threads, for as long as the result lives.
std::shared_ptr<prometheus::Collectable> MakeControllerMetrics(std::function<ControllerSnapshot()> snapshot);

}  // namespace lockstep
