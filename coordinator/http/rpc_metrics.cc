#include "coordinator/http/rpc_metrics.h"

#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

const prometheus::Histogram::BucketBoundaries& Boundaries() {
  static const auto& boundaries = *new prometheus::Histogram::BucketBoundaries{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60};
  return boundaries;
}

}  // namespace

RpcMetrics::RpcMetrics(prometheus::Registry* registry)
    : calls_(RegisterCounter(kRpcs, registry)), seconds_(RegisterHistogram(kRpcSeconds, registry)) {}

void RpcMetrics::Record(const std::string& method, absl::StatusCode code, absl::Duration took) {
  const prometheus::Labels labels = {{"method", method}, {"code", absl::StatusCodeToString(code)}};
  calls_.Add(labels).Increment();
  seconds_.Add(labels, Boundaries()).Observe(absl::ToDoubleSeconds(took));
}

}  // namespace lockstep
