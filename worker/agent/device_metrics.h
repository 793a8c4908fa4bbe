// Metrics of each device of this node, computed at each scrape: where its time went, who holds it, what its
// trainer process takes. What is of a job is there while the device works for it.
//
// A GPU's gauges are what it says of itself (nvml.h).
//
// Thread-safe: the agent's loop updates, scrapes read.
#pragma once

#include <prometheus/collectable.h>
#include <sys/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "worker/agent/device_ledger.h"
#include "worker/agent/nvml.h"

namespace lockstep {

class DeviceMetrics : public prometheus::Collectable {
 public:
  struct Device {
    std::string kind, model, uuid;
    std::string job;  // empty: free
    int rank = 0;
    pid_t pid = 0;                     // of its trainer; 0: none just now
    std::shared_ptr<const Nvml> nvml;  // of a GPU
    DeviceLedger ledger{absl::ZeroDuration()};
    v1::Durations step_seconds, reduce_seconds;  // of the present trainer
  };

  void Update(const std::string& id, Device device);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Device> devices_;  // guarded by mutex_
};

// Of a clock that is never set.
absl::Duration SteadyNow();

}  // namespace lockstep
