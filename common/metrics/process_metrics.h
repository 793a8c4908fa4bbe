// The process's own numbers under the names that every Prometheus client library uses (process_*), read from
// /proc at scrape time.
#pragma once

#include <prometheus/collectable.h>

#include <memory>

namespace lockstep {

std::shared_ptr<prometheus::Collectable> MakeProcessMetrics();

// Resident memory of this process in bytes; 0 if /proc cannot be read.
double ResidentMemoryBytes();

}  // namespace lockstep
