// The readers of what MLflow and Kubernetes answer, over any bytes. What they take is inside of its bounds.
#include <cstdint>
#include <string>

#include "coordinator/autoscale/kubernetes_scale.h"
#include "coordinator/tracking/mlflow_answers.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  if (const auto scale = lockstep::ParseScale(body); scale.ok()) {
    FUZZ_CHECK(scale->replicas >= 0 && scale->replicas <= 1'000'000);
  }
  FUZZ_CHECK(lockstep::KubernetesMessage(body).size() <= 500);
  const auto run = lockstep::MlflowFirstRun(body);
  FUZZ_CHECK(run.ok() || absl::IsUnavailable(run.status()));
  const auto text = lockstep::MlflowText(body, {"run", "info", "run_id"});
  FUZZ_CHECK(text.ok() || absl::IsUnavailable(text.status()));
  const auto page = lockstep::MlflowHistoryPage(body);
  FUZZ_CHECK(page.ok() || absl::IsUnavailable(page.status()));
  FUZZ_CHECK(!lockstep::MlflowError("runs/create", 400, body).ok());
  return 0;
}
