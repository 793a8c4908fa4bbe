#include "coordinator/jobs/job_time.h"

#include <algorithm>

#include "common/base/device_time.h"
#include "common/base/proto_time.h"

namespace lockstep {

bool NoteDeviceTime(const std::string& worker, const v1::DeviceTime& report, v1::JobTime* time) {
  auto* devices = time->mutable_devices();
  const auto same = [&](const v1::DeviceTime& known) {
    return known.worker() == worker && known.device() == report.device();
  };
  auto known = std::find_if(devices->begin(), devices->end(), same);
  if (known == devices->end()) {
    v1::DeviceTime* added = time->add_devices();
    *added = report;
    added->set_worker(worker);
    return true;
  }
  const absl::Time since = FromProto(report.since()), before = FromProto(known->since());
  if (since < before || (since == before && SumOfKinds(report) <= SumOfKinds(*known))) return false;
  if (since > before) AddTime(*known, time->mutable_before());
  *known = report;
  known->set_worker(worker);
  return true;
}

v1::DeviceTime TotalTime(const v1::JobTime& time) {
  v1::DeviceTime total = time.before();
  for (const v1::DeviceTime& device : time.devices()) AddTime(device, &total);
  return total;
}

std::array<std::pair<const char*, double>, 6> SecondsByKind(const v1::DeviceTime& time) {
  return {{{"compute", time.compute()},
           {"communication", time.communication()},
           {"input", time.input()},
           {"checkpoint", time.checkpoint()},
           {"recovery", time.recovery()},
           {"idle", time.idle()}}};
}

std::optional<double> Goodput(const v1::DeviceTime& time) {
  const double steps = time.compute() + time.communication();
  const double busy = steps + time.input() + time.checkpoint() + time.recovery();
  if (!(busy > 0)) return std::nullopt;
  return std::clamp(steps / busy, 0.0, 1.0);
}

}  // namespace lockstep
