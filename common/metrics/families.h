// What is declared becomes a metric: families for collectables, which compute their values at scrape time,
// and registrations for what a daemon counts itself.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/metrics/declaration.h"

namespace lockstep {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

prometheus::MetricFamily MakeFamily(const MetricDeclaration& declaration);

// Adds one sample to a family of gauges or counters.
void AddSample(prometheus::MetricFamily* family, double value, const MetricLabels& labels = {});
// The same without a copy of each label on the way: a page may have tens of thousands.
void AddSample(prometheus::MetricFamily* family, double value,
               std::initializer_list<std::pair<const char*, std::string_view>> labels);

// REQUIRES: the declaration's type is the one asked for. `registry` must outlive the result.
prometheus::Family<prometheus::Gauge>& RegisterGauge(const MetricDeclaration& declaration,
                                                     prometheus::Registry* registry);
prometheus::Family<prometheus::Counter>& RegisterCounter(const MetricDeclaration& declaration,
                                                         prometheus::Registry* registry);
prometheus::Family<prometheus::Histogram>& RegisterHistogram(const MetricDeclaration& declaration,
                                                             prometheus::Registry* registry);

}  // namespace lockstep
