#include "coordinator/http/namespace_metrics.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/proto_time.h"
#include "common/metrics/families.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

void AddUse(const v1::NamespaceUse& more, v1::NamespaceUse* sum) {
  sum->set_jobs(sum->jobs() + more.jobs());
  sum->set_queued_jobs(sum->queued_jobs() + more.queued_jobs());
  sum->set_devices(sum->devices() + more.devices());
  sum->set_storage_bytes(sum->storage_bytes() + more.storage_bytes());
}

class NamespaceMetrics : public prometheus::Collectable {
 public:
  explicit NamespaceMetrics(NamespaceSource namespaces) : namespaces_(std::move(namespaces)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    auto spaces = namespaces_();
    if (!spaces.ok()) return {};
    std::stable_sort(spaces->begin(), spaces->end(), [](const v1::Namespace& a, const v1::Namespace& b) {
      return FromProto(a.created()) < FromProto(b.created());
    });
    if (spaces->size() > kMostNamespacesScraped) {
      v1::Namespace others;
      others.set_name(kOtherNamespaces);
      for (size_t i = kMostNamespacesScraped; i < spaces->size(); ++i)
        AddUse((*spaces)[i].use(), others.mutable_use());
      spaces->resize(kMostNamespacesScraped);
      spaces->push_back(std::move(others));
    }
    auto jobs = MakeFamily(kNamespaceJobs);
    auto queued = MakeFamily(kNamespaceQueued);
    auto devices = MakeFamily(kNamespaceDevices);
    auto storage = MakeFamily(kNamespaceStorage);
    auto jobs_quota = MakeFamily(kNamespaceJobsQuota);
    auto devices_quota = MakeFamily(kNamespaceDevicesQuota);
    auto storage_quota = MakeFamily(kNamespaceStorageQuota);
    for (const v1::Namespace& space : *spaces) {
      const auto add = [&space](prometheus::MetricFamily* family, int64_t value) {
        AddSample(family, static_cast<double>(value), {{"namespace", space.name()}});
      };
      add(&jobs, space.use().jobs());
      add(&queued, space.use().queued_jobs());
      add(&devices, space.use().devices());
      add(&storage, space.use().storage_bytes());
      if (space.quota().has_jobs()) add(&jobs_quota, space.quota().jobs());
      if (space.quota().has_devices()) add(&devices_quota, space.quota().devices());
      if (space.quota().has_storage_bytes()) add(&storage_quota, space.quota().storage_bytes());
    }
    std::vector<prometheus::MetricFamily> families;
    for (auto* family : {&jobs, &queued, &devices, &storage, &jobs_quota, &devices_quota, &storage_quota}) {
      if (!family->metric.empty()) families.push_back(std::move(*family));
    }
    return families;
  }

 private:
  const NamespaceSource namespaces_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeNamespaceMetrics(NamespaceSource namespaces) {
  return std::make_shared<NamespaceMetrics>(std::move(namespaces));
}

}  // namespace lockstep
