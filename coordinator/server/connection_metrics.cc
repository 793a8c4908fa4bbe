#include "coordinator/server/connection_metrics.h"

#include <vector>

#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

class ConnectionMetrics : public prometheus::Collectable {
 public:
  explicit ConnectionMetrics(const GatedListener* listener) : listener_(listener) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const GatedListener::Counts now = listener_->counts();
    std::vector<prometheus::MetricFamily> families = {MakeFamily(kConnections),
                                                      MakeFamily(kConnectionsRefused)};
    AddSample(&families[0], now.open);
    AddSample(&families[1], static_cast<double>(now.full), {{"reason", "full"}});
    AddSample(&families[1], static_cast<double>(now.peer_full), {{"reason", "peer_full"}});
    AddSample(&families[1], static_cast<double>(now.silent), {{"reason", "silent"}});
    return families;
  }

 private:
  const GatedListener* const listener_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeConnectionMetrics(const GatedListener* listener) {
  return std::make_shared<ConnectionMetrics>(listener);
}

}  // namespace lockstep
