// What may be said about autoscaling on the command line.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace lockstep {

struct KubernetesOptions {
  std::string server;  // https://HOST:PORT; empty: KUBERNETES_SERVICE_HOST and ..._PORT of the environment
  std::string credentials = "/var/run/secrets/kubernetes.io/serviceaccount";  // token, ca.crt, namespace
  std::string stateful_set = "lockstep-worker";
};

struct ScaleLimits {
  int floor = 0;
  int ceiling = 0;
  absl::Duration cooldown = absl::Minutes(5);
};

struct AutoscaleOptions {
  std::string cluster;  // "kubernetes"; empty: do not
  KubernetesOptions kubernetes;
  ScaleLimits limits;
};

}  // namespace lockstep
