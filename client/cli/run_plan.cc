#include "client/cli/run_plan.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "common/spec/spec.h"

namespace lockstep {

absl::StatusOr<RunPlan> PlanRun(v1::JobSpec spec, const std::vector<std::string>& overrides, int workers,
                                int processors) {
  const bool ranges_given = std::any_of(overrides.begin(), overrides.end(), [](const std::string& text) {
    return absl::StartsWith(text, "workers.") || absl::StartsWith(text, "workers=");
  });
  if (workers > 0 && !ranges_given) {
    spec.mutable_workers()->set_min(workers);
    spec.mutable_workers()->set_max(workers);
  }
  v1::JobSpec complete = spec;
  RETURN_IF_ERROR(CompleteSpec(&complete));
  const int least = complete.workers().min();
  if (workers > 0 && workers < least) {
    return absl::InvalidArgumentError(
        absl::StrCat("--workers ", workers, ": the job needs at least workers.min (", least, ") to start"));
  }
  if (workers == 0) workers = std::max(least, std::min(complete.workers().max(), std::max(processors, 1)));
  if (!ranges_given) {
    spec.mutable_workers()->set_min(workers);
    spec.mutable_workers()->set_max(workers);
  }
  return RunPlan{std::move(spec), workers};
}

}  // namespace lockstep
