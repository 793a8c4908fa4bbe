#include "worker/agent/device_metrics.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "common/metrics/buckets.h"
#include "common/metrics/families.h"
#include "worker/agent/cpu_process.h"
#include "worker/agent/declarations.h"

namespace lockstep {
namespace {

void AddHistogram(prometheus::MetricFamily* family, const v1::Durations& durations,
                  const MetricLabels& labels) {
  if (durations.counts_size() != static_cast<int>(kStepBuckets.size()) + 1) return;
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  uint64_t count = 0;
  for (int i = 0; i < durations.counts_size(); ++i) {
    count += static_cast<uint64_t>(durations.counts(i));
    const bool last = i + 1 == durations.counts_size();
    metric.histogram.bucket.push_back(
        {count, last ? std::numeric_limits<double>::infinity() : kStepBuckets[static_cast<size_t>(i)]});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = durations.sum();
}

void AddKinds(prometheus::MetricFamily* family, const v1::DeviceTime& time, const std::string& device) {
  for (const auto& [kind, seconds] :
       {std::pair{"compute", time.compute()}, std::pair{"communication", time.communication()},
        std::pair{"input", time.input()}, std::pair{"checkpoint", time.checkpoint()},
        std::pair{"recovery", time.recovery()}, std::pair{"idle", time.idle()}}) {
    AddSample(family, seconds, {{"device", device}, {"kind", kind}});
  }
}

}  // namespace

absl::Duration SteadyNow() { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

void DeviceMetrics::Update(const std::string& id, Device device) {
  std::lock_guard lock(mutex_);
  devices_.insert_or_assign(id, std::move(device));
}

std::vector<prometheus::MetricFamily> DeviceMetrics::Collect() const {
  std::lock_guard lock(mutex_);
  auto seconds = MakeFamily(kDeviceSeconds);
  auto info = MakeFamily(kWorkerDeviceInfo);
  auto memory = MakeFamily(kDeviceMemory);
  auto cpu = MakeFamily(kDeviceCpuSeconds);
  auto steps = MakeFamily(kStepSeconds);
  auto reductions = MakeFamily(kReduceSeconds);
  auto utilization = MakeFamily(kGpuUtilization);
  auto used_memory = MakeFamily(kGpuMemory);
  auto temperature = MakeFamily(kGpuTemperature);
  auto power = MakeFamily(kGpuPower);
  auto energy = MakeFamily(kGpuEnergy);
  for (const auto& [id, device] : devices_) {
    const bool held = !device.job.empty();
    AddKinds(&seconds, device.ledger.Totals(SteadyNow()), id);
    AddSample(&info, 1,
              {{"device", id},
               {"uuid", device.uuid},
               {"kind", device.kind},
               {"model", device.model},
               {"job", device.job},
               {"rank", held ? std::to_string(device.rank) : ""}});
    if (const auto process = device.pid > 0 ? ReadCpuProcess(device.pid) : std::nullopt) {
      AddSample(&memory, process->resident_bytes, {{"device", id}});
      AddSample(&cpu, process->cpu_seconds, {{"device", id}});
    }
    if (device.nvml != nullptr) {
      const GpuReadings readings = device.nvml->Read(device.uuid);
      for (const auto& [family, value] :
           {std::pair{&utilization, readings.utilization}, std::pair{&used_memory, readings.used_memory},
            std::pair{&temperature, readings.temperature}, std::pair{&power, readings.power},
            std::pair{&energy, readings.energy}}) {
        if (value.has_value()) AddSample(family, *value, {{"device", id}, {"uuid", device.uuid}});
      }
    }
    if (!held) continue;
    const MetricLabels of_job = {{"job", device.job}, {"device", id}};
    AddHistogram(&steps, device.step_seconds, of_job);
    AddHistogram(&reductions, device.reduce_seconds, of_job);
  }
  std::vector<prometheus::MetricFamily> families;
  for (auto* family : {&seconds, &info, &memory, &cpu, &steps, &reductions, &utilization, &used_memory,
                       &temperature, &power, &energy}) {
    if (!family->metric.empty()) families.push_back(std::move(*family));
  }
  return families;
}

}  // namespace lockstep
