#include "coordinator/autoscale/decide.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

// The most that was wanted during the cool-down that ends now, with what is wanted now.
int Peak(absl::Time now, int wanted, absl::Duration cooldown, ScaleHistory* history) {
  auto& peaks = history->peaks;
  absl::Time since = now;
  for (; !peaks.empty() && peaks.back().second <= wanted; peaks.pop_back()) since = peaks.back().first;
  peaks.emplace_back(since, wanted);
  // A peak holds until the smaller one after it.
  while (peaks.size() > 1 && peaks[1].first <= now - cooldown) peaks.pop_front();
  return peaks.front().second;
}

}  // namespace

ScaleDecision DecideScale(absl::Time now, const ScaleFacts& facts, const ScaleLimits& limits,
                          ScaleHistory* history) {
  const int64_t each = std::max(1, facts.devices_per_worker);
  const int64_t needed = (facts.devices_wanted + each - 1) / each;
  const int wanted =
      static_cast<int>(std::clamp<int64_t>(needed, limits.floor, std::max(limits.floor, limits.ceiling)));
  history->since = std::min(history->since, now);
  const int peak = Peak(now, wanted, limits.cooldown, history);
  const std::string why = absl::StrCat(facts.devices_wanted, " devices wanted, ", each, " a worker, ",
                                       limits.floor, " to ", limits.ceiling, " workers");
  if (wanted > facts.replicas) return {wanted, why};
  if (wanted == facts.replicas) return {wanted, why};
  // Nothing is known of the time before the first call.
  if (now - history->since < limits.cooldown) return {facts.replicas, absl::StrCat(why, "; cooling down")};
  const int lower = std::max(peak, facts.busy_workers);
  if (lower < facts.replicas) return {lower, why};
  return {facts.replicas,
          absl::StrCat(why, peak < facts.replicas ? "; the last one has a job" : "; cooling down")};
}

SetFacts ReadSet(const std::string& name, const std::vector<v1::Worker>& workers) {
  SetFacts facts;
  const std::string prefix = absl::StrCat(name, "-");
  for (const v1::Worker& worker : workers) {
    int number = 0;
    if (!absl::StartsWith(worker.name(), prefix) ||
        !absl::SimpleAtoi(worker.name().substr(prefix.size()), &number) || number < 0) {
      continue;
    }
    const bool busy = std::any_of(worker.devices().begin(), worker.devices().end(),
                                  [](const v1::DeviceStatus& device) { return !device.job_id().empty(); });
    if (busy) facts.busy_workers = std::max(facts.busy_workers, number + 1);
    if (worker.state() == v1::WORKER_STATE_LOST) continue;
    facts.devices_per_worker = std::max(facts.devices_per_worker, worker.devices_size());
  }
  return facts;
}

}  // namespace lockstep
