// gRPC health checks alone, on a port of their own and without TLS: for probes that have no certificate, such
// as Kubernetes'. Says whether the coordinator serves, and nothing else.
//
// Serving from Start until the destructor.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"

namespace lockstep {

class HealthServer {
 public:
  // UNAVAILABLE, INVALID_ARGUMENT: cannot listen there, and why.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(const std::string& listen);
  ~HealthServer();

  std::string address() const;

 private:
  struct Impl;
  explicit HealthServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
