#include "coordinator/tracking/tracking_metrics.h"

#include <vector>

#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

class TrackingMetrics : public prometheus::Collectable {
 public:
  explicit TrackingMetrics(const Tracking* tracking) : tracking_(tracking) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    families.push_back(Family(kTrackingLag, &FollowerCounters::lag));
    families.push_back(Family(kTrackingPoints, &FollowerCounters::points_written));
    families.push_back(Family(kTrackingRefused, &FollowerCounters::points_refused));
    families.push_back(Family(kTrackingFailures, &FollowerCounters::failures));
    if (families.front().metric.empty()) return {};
    return families;
  }

 private:
  prometheus::MetricFamily Family(const MetricDeclaration& declaration,
                                  int64_t FollowerCounters::*number) const {
    auto family = MakeFamily(declaration);
    for (const Follower* follower : tracking_->followers()) {
      AddSample(&family, static_cast<double>(follower->Counters().*number), {{"sink", follower->kind()}});
    }
    return family;
  }

  const Tracking* const tracking_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeTrackingMetrics(const Tracking* tracking) {
  return std::make_shared<TrackingMetrics>(tracking);
}

}  // namespace lockstep
