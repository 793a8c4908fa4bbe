// A metric as it is declared: once, in its daemon's table. The code registers it from there and
// docs/metrics.md is printed from there, so that the two cannot differ.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

enum class MetricType { kGauge, kCounter, kHistogram };

struct MetricDeclaration {
  const char* name;
  MetricType type;
  const char* unit;    // "seconds", "bytes", "1" for a yes or no, else what is counted
  const char* labels;  // "job, rank"; empty: none
  const char* help;
};

using MetricTable = std::vector<const MetricDeclaration*>;

// The table in Markdown, under the daemon's name: a section of docs/metrics.md.
std::string DescribeMetrics(const std::string& title, const MetricTable& table);

// What every daemon has: MetricsServer adds these by itself.
const MetricTable& CommonMetrics();

// What `lockstep-<daemon> --print-metrics` says: the common ones, then those of the daemon.
std::string DescribeDaemon(const std::string& program, const MetricTable& table);

}  // namespace lockstep
