// The scale subresource of a StatefulSet, by Kubernetes' REST API, as a pod may use it. The token and the CA
// are read for each request and each connection: the kubelet renews both. Not thread-safe, but Stop.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/http/http_client.h"
#include "coordinator/autoscale/options.h"

namespace lockstep {

class KubernetesScale {
 public:
  // FAILED_PRECONDITION: this is no pod, or its service account is not mounted.
  static absl::StatusOr<std::unique_ptr<KubernetesScale>> Open(const KubernetesOptions& options);

  struct Scale {
    int replicas = 0;
    std::string version;  // of what was read
  };
  // PERMISSION_DENIED, NOT_FOUND, UNAVAILABLE.
  absl::StatusOr<Scale> Get();
  // ABORTED: somebody changed it since `was` was read; and the errors of Get.
  absl::Status Set(const Scale& was, int replicas);

  void Stop() { http_.Stop(); }

 private:
  KubernetesScale(std::string url, const KubernetesOptions& options);
  absl::StatusOr<Scale> Call(const std::string& method, const std::string& body);

  const std::string url_;
  const std::string token_file_;
  HttpClient http_;
};

// What the API server answers, read without trust. UNAVAILABLE: this is no Scale.
absl::StatusOr<KubernetesScale::Scale> ParseScale(const std::string& body);
std::string KubernetesMessage(const std::string& body);  // of a Status, for people

}  // namespace lockstep
