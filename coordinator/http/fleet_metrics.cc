#include "coordinator/http/fleet_metrics.h"

#include <utility>

#include "absl/time/time.h"
#include "common/base/proto_time.h"
#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

class FleetMetrics : public prometheus::Collectable {
 public:
  explicit FleetMetrics(std::function<std::vector<v1::Worker>()> workers) : workers_(std::move(workers)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    auto age = MakeFamily(kHeartbeatAge);
    auto info = MakeFamily(kDeviceInfo);
    auto cordoned = MakeFamily(kDeviceCordoned);
    for (const v1::Worker& worker : workers_()) {
      AddSample(&age, absl::ToDoubleSeconds(FromProto(worker.heartbeat_age())), {{"worker", worker.name()}});
      for (const v1::DeviceStatus& status : worker.devices()) {
        const v1::Device& device = status.device();
        const bool held = !status.job_id().empty();
        AddSample(&info, 1,
                  {{"worker", worker.name()},
                   {"device", device.id()},
                   {"uuid", device.uuid()},
                   {"kind", device.profile().device_kind()},
                   {"model", device.profile().device_model()},
                   {"job", status.job_id()},
                   {"rank", held ? std::to_string(status.rank()) : ""}});
        AddSample(&cordoned, status.cordoned().empty() ? 0 : 1,
                  {{"worker", worker.name()}, {"device", device.id()}});
      }
    }
    std::vector<prometheus::MetricFamily> families;
    for (auto* family : {&age, &info, &cordoned}) {
      if (!family->metric.empty()) families.push_back(std::move(*family));
    }
    return families;
  }

 private:
  const std::function<std::vector<v1::Worker>()> workers_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeFleetMetrics(std::function<std::vector<v1::Worker>()> workers) {
  return std::make_shared<FleetMetrics>(std::move(workers));
}

}  // namespace lockstep
