// Counts calls and how long they took, by method and code. Streams count when they end; their duration is the
// stream's life. No gRPC in here.
//
// Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace prometheus {
class Registry;
class Counter;
class Histogram;
template <typename T>
class Family;
}  // namespace prometheus

namespace lockstep {

class RpcMetrics {
 public:
  // `registry` must outlive this.
  explicit RpcMetrics(prometheus::Registry* registry);

  // `method` is "lockstep.v1.Jobs/GetJob": one of the services' methods, never a client's text.
  void Record(const std::string& method, absl::StatusCode code, absl::Duration took);

 private:
  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Family<prometheus::Histogram>& seconds_;
};

}  // namespace lockstep
