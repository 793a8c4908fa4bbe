#include "common/spec/chaos_plan.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/proto_time.h"
#include "common/spec/text_names.h"
#include "common/spec/yaml_reader.h"

namespace lockstep {
namespace {

constexpr absl::Duration kUsual = absl::Seconds(5), kLongest = absl::Minutes(10);

bool Lasts(v1::FaultKind kind) { return kind == v1::FAULT_KIND_STOP || kind == v1::FAULT_KIND_CUT; }

bool HitsAWorker(v1::FaultKind kind) {
  return kind != v1::FAULT_KIND_KILL_COORDINATOR && kind != v1::FAULT_KIND_ADD;
}

absl::Status Complete(v1::PlannedFault* fault, const std::string& where) {
  if (fault->fault() == v1::FAULT_KIND_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".fault is missing: expected one of ",
                     absl::StrJoin(EnumTexts(*v1::FaultKind_descriptor()), ", ")));
  }
  const std::string kind = EnumText(*v1::FaultKind_descriptor(), fault->fault());
  if (FromProto(fault->at()) < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".at: expected a time from the job's start on, such as 5s"));
  }
  if (!fault->worker().empty() && !HitsAWorker(fault->fault())) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".worker: ", kind, " concerns no worker of the job"));
  }
  if (!Lasts(fault->fault()) && fault->has_duration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".duration: ", kind, " does not last; stop and cut do"));
  }
  if (!Lasts(fault->fault())) return absl::OkStatus();
  if (!fault->has_duration()) *fault->mutable_duration() = ToProto(kUsual);
  const absl::Duration duration = FromProto(fault->duration());
  if (duration > absl::ZeroDuration() && duration <= kLongest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, ".duration is ", absl::FormatDuration(duration),
                                                 ": expected more than 0 and at most 10m"));
}

}  // namespace

absl::StatusOr<v1::ChaosPlan> ParseChaosPlan(std::string_view yaml, std::string_view file) {
  v1::ChaosPlan plan;
  RETURN_IF_ERROR(ReadYaml(yaml, file, &plan));
  if (plan.faults().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(file),
        ": there is no fault in it; expected `faults:`, a list such as [{at: 2s, fault: kill}]"));
  }
  for (int i = 0; i < plan.faults_size(); ++i) {
    RETURN_IF_ERROR(Complete(plan.mutable_faults(i), absl::StrCat(std::string(file), ": faults[", i, "]")));
  }
  std::stable_sort(plan.mutable_faults()->begin(), plan.mutable_faults()->end(),
                   [](const v1::PlannedFault& a, const v1::PlannedFault& b) {
                     return FromProto(a.at()) < FromProto(b.at());
                   });
  return plan;
}

v1::ChaosPlan RandomKills(absl::Duration mean, absl::Duration length, uint64_t seed) {
  v1::ChaosPlan plan;
  std::mt19937_64 random(seed);
  absl::Duration at;
  while (true) {
    // Not std::exponential_distribution, which differs between libraries.
    const double uniform = (static_cast<double>(random() >> 11) + 1) * 0x1p-53;
    at += -std::log(uniform) * mean;
    if (at > length) return plan;
    v1::PlannedFault* fault = plan.add_faults();
    *fault->mutable_at() = ToProto(at);
    fault->set_fault(v1::FAULT_KIND_KILL);
  }
}

}  // namespace lockstep
