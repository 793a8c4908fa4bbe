#include "coordinator/autoscale/autoscale_metrics.h"

#include <vector>

#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

class AutoscaleMetrics : public prometheus::Collectable {
 public:
  explicit AutoscaleMetrics(const Autoscaler* autoscaler) : autoscaler_(autoscaler) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    if (autoscaler_ == nullptr) return {};
    const AutoscaleCounters now = autoscaler_->Counters();
    std::vector<prometheus::MetricFamily> families;
    for (const auto& [declaration, value] :
         {std::pair(&kAutoscaleReplicas, now.replicas), std::pair(&kAutoscaleChanges, now.changes),
          std::pair(&kAutoscaleFailures, now.failures)}) {
      AddSample(&families.emplace_back(MakeFamily(*declaration)), static_cast<double>(value));
    }
    return families;
  }

 private:
  const Autoscaler* const autoscaler_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeAutoscaleMetrics(const Autoscaler* autoscaler) {
  return std::make_shared<AutoscaleMetrics>(autoscaler);
}

}  // namespace lockstep
