#include "client/cli/wait_condition.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "client/render/progress.h"
#include "common/spec/spec.h"
#include "common/spec/text_names.h"
#include "google/protobuf/descriptor.h"

namespace lockstep {

absl::Status CheckCondition(const std::string& condition) {
  std::vector<std::string> known = EnumTexts(*v1::JobState_descriptor());
  known.push_back("final");
  known.push_back("first-step");
  if (std::find(known.begin(), known.end(), condition) != known.end()) return absl::OkStatus();
  const std::string nearest = Nearest(condition, known);
  return absl::InvalidArgumentError(absl::StrCat("--for: expected one of ", absl::StrJoin(known, ", "),
                                                 ", got '", condition, "'",
                                                 nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
}

WaitVerdict JudgeWait(const v1::Job& job, const std::string& condition) {
  const v1::JobState state = job.state();
  const bool final_state = IsFinal(state);
  // A job that has ended after its first step has been through these; one that is queued again has yet to
  // return.
  const bool passed = final_state && job.has_started_at();
  const bool met =
      StateText(state) == condition || condition == "queued" || (condition == "final" && final_state) ||
      (condition == "first-step" && job.has_started_at()) || (condition == "running" && passed) ||
      (condition == "starting" && (passed || state == v1::JOB_STATE_RUNNING));
  return met ? WaitVerdict::kMet : final_state ? WaitVerdict::kImpossible : WaitVerdict::kPending;
}

}  // namespace lockstep
