#include "coordinator/http/rpc_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace lockstep {
namespace {

const prometheus::Histogram::BucketBoundaries& Boundaries() {
  static const auto& boundaries = *new prometheus::Histogram::BucketBoundaries{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60};
  return boundaries;
}

}  // namespace

RpcMetrics::RpcMetrics(prometheus::Registry* registry)
    : calls_(prometheus::BuildCounter()
                 .Name("lockstep_rpcs_total")
                 .Help("Calls answered, by method and status code.")
                 .Register(*registry)),
      seconds_(prometheus::BuildHistogram()
                   .Name("lockstep_rpc_duration_seconds")
                   .Help("Time from a call's arrival to its status, by method and status code; for a stream, "
                         "its life.")
                   .Register(*registry)) {}

void RpcMetrics::Record(const std::string& method, absl::StatusCode code, absl::Duration took) {
  const prometheus::Labels labels = {{"method", method}, {"code", absl::StatusCodeToString(code)}};
  calls_.Add(labels).Increment();
  seconds_.Add(labels, Boundaries()).Observe(absl::ToDoubleSeconds(took));
}

}  // namespace lockstep
