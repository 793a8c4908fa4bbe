// Active jobs as metrics: progress, losses, ranks, the newest checkpoint. Read from the store at each scrape,
// so that a scrape never waits for the control thread. More than kMostJobsScraped active jobs are not all
// told: the newest are.
#pragma once

#include <prometheus/collectable.h>

#include <memory>

#include "coordinator/store/store.h"

namespace lockstep {

inline constexpr int kMostJobsScraped = 1000;

// `store` is read by scrapes, on the HTTP server's threads, for as long as the result lives. If it cannot be
// read, the page has no jobs.
std::shared_ptr<prometheus::Collectable> MakeJobMetrics(Store* store);

}  // namespace lockstep
