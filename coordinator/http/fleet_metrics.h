// Workers and devices as metrics: heartbeat age, who holds a device, what is out of service.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>
#include <vector>

#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// `workers` is called by scrapes, on the HTTP server's threads, for as long as the result lives.
std::shared_ptr<prometheus::Collectable> MakeFleetMetrics(std::function<std::vector<v1::Worker>()> workers);

}  // namespace lockstep
