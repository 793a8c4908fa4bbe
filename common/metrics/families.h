// For collectables that compute their values at scrape time: metric families in one line each.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace lockstep {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

prometheus::MetricFamily GaugeFamily(const std::string& name, const std::string& help);
prometheus::MetricFamily CounterFamily(const std::string& name, const std::string& help);

// Adds one sample to a family made by one of the above.
void AddSample(prometheus::MetricFamily* family, double value, const MetricLabels& labels = {});

}  // namespace lockstep
