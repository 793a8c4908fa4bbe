#include "client/cli/chaos_report.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/render/text.h"
#include "common/base/proto_time.h"
#include "common/spec/text_names.h"

namespace lockstep {
namespace {

// Of two values in the middle their mean. REQUIRES: there are values.
double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Longest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

std::string Milliseconds(bool known, double seconds) {
  return known ? absl::StrCat(CountText(std::llround(seconds * 1000)), " ms") : "-";
}

std::string Count(bool known, int64_t count) { return known ? CountText(count) : "-"; }

}  // namespace

void AddTotals(v1::ChaosReport* report) {
  v1::ChaosTotals totals;
  std::vector<double> detection, regroup, next_step;
  bool all_timed = true;
  for (const v1::FaultOutcome& fault : report->faults()) {
    if (!fault.problem().empty()) continue;
    totals.set_faults(totals.faults() + 1);
    if (fault.has_detection_seconds()) detection.push_back(fault.detection_seconds());
    if (fault.has_regroup_seconds()) regroup.push_back(fault.regroup_seconds());
    if (fault.has_next_step_seconds()) next_step.push_back(fault.next_step_seconds());
    if (!fault.has_lost_steps()) continue;
    totals.set_lost_steps(totals.lost_steps() + fault.lost_steps());
    totals.set_lost_seconds(totals.lost_seconds() + fault.lost_seconds());
    all_timed = all_timed && fault.has_lost_seconds();
  }
  if (!all_timed) totals.clear_lost_seconds();
  if (!detection.empty()) {
    totals.set_detection_median_seconds(Median(detection));
    totals.set_detection_longest_seconds(Longest(detection));
  }
  if (!regroup.empty()) {
    totals.set_regroup_median_seconds(Median(regroup));
    totals.set_regroup_longest_seconds(Longest(regroup));
  }
  if (!next_step.empty()) {
    totals.set_next_step_median_seconds(Median(next_step));
    totals.set_next_step_longest_seconds(Longest(next_step));
  }
  *report->mutable_totals() = totals;
}

std::string ChaosTable(const v1::ChaosReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"FAULT", "WORKER", "AT", "DETECTION", "REGROUP", "NEXT STEP", "LOST STEPS", "LOST TIME"}};
  for (const v1::FaultOutcome& fault : report.faults()) {
    rows.push_back({EnumText(*v1::FaultKind_descriptor(), fault.planned().fault()),
                    Printable(fault.planned().worker()), DurationText(FromProto(fault.planned().at())),
                    fault.problem().empty()
                        ? Milliseconds(fault.has_detection_seconds(), fault.detection_seconds())
                        : "not done",
                    Milliseconds(fault.has_regroup_seconds(), fault.regroup_seconds()),
                    Milliseconds(fault.has_next_step_seconds(), fault.next_step_seconds()),
                    Count(fault.has_lost_steps(), fault.lost_steps()),
                    Milliseconds(fault.has_lost_seconds(), fault.lost_seconds())});
  }
  const v1::ChaosTotals& totals = report.totals();
  rows.push_back({"median", "", "",
                  Milliseconds(totals.has_detection_median_seconds(), totals.detection_median_seconds()),
                  Milliseconds(totals.has_regroup_median_seconds(), totals.regroup_median_seconds()),
                  Milliseconds(totals.has_next_step_median_seconds(), totals.next_step_median_seconds()), "",
                  ""});
  rows.push_back({"longest", "", "",
                  Milliseconds(totals.has_detection_longest_seconds(), totals.detection_longest_seconds()),
                  Milliseconds(totals.has_regroup_longest_seconds(), totals.regroup_longest_seconds()),
                  Milliseconds(totals.has_next_step_longest_seconds(), totals.next_step_longest_seconds()),
                  "", ""});
  rows.push_back({"sum", "", "", "", "", "", Count(totals.has_lost_steps(), totals.lost_steps()),
                  Milliseconds(totals.has_lost_seconds(), totals.lost_seconds())});
  return TableText(rows, {false, false, true, true, true, true, true, true});
}

}  // namespace lockstep
