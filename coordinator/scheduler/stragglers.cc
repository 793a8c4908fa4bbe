#include "coordinator/scheduler/stragglers.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

constexpr double kSlower = 1.5, kStillSlower = 1.25;  // times the others' own part
constexpr double kOfStep = 0.1, kStillOfStep = 0.05;  // of a step that are lost

double MedianOfOthers(const std::vector<RankStep>& ranks, size_t rank, double (*of)(const RankStep&)) {
  std::vector<double> others;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (i != rank) others.push_back(of(ranks[i]));
  }
  const auto middle = others.begin() + static_cast<ptrdiff_t>((others.size() - 1) / 2);
  std::nth_element(others.begin(), middle, others.end());
  return *middle;
}

}  // namespace

std::optional<std::string> WhyStraggler(const std::vector<RankStep>& ranks, size_t rank, bool flagged) {
  const RankStep& mine = ranks[rank];
  const double others = MedianOfOthers(ranks, rank, [](const RankStep& other) { return other.own(); });
  const double lost = mine.own() - others;
  const double step = mine.own() + mine.communication;
  if (mine.own() <= others * (flagged ? kStillSlower : kSlower)) return std::nullopt;
  if (lost <= step * (flagged ? kStillOfStep : kOfStep)) return std::nullopt;
  const double input = MedianOfOthers(ranks, rank, [](const RankStep& other) { return other.input; });
  const double compute = MedianOfOthers(ranks, rank, [](const RankStep& other) { return other.compute; });
  const bool reads = mine.input - input > mine.compute - compute;
  return absl::StrFormat("%s: %.3g ms of a step, the others %.3g ms", reads ? "input" : "compute",
                         1e3 * (reads ? mine.input : mine.compute), 1e3 * (reads ? input : compute));
}

}  // namespace lockstep
