#include "coordinator/scheduler/stragglers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

constexpr double kSlower = 1.5, kStillSlower = 1.25;  // times the others'
constexpr double kOfStep = 0.1, kStillOfStep = 0.05;  // of a step that are lost

// The lower of two.
double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Of what `of(i)` is for each rank i but `rank`.
template <typename Function>
double MedianOfOthers(size_t ranks, size_t rank, const Function& of) {
  std::vector<double> others;
  for (size_t i = 0; i < ranks; ++i) {
    if (i != rank) others.push_back(of(i));
  }
  return Median(std::move(others));
}

double Arriving(const RankStep& at, size_t from) { return from < at.arriving.size() ? at.arriving[from] : 0; }

// What messages between two ranks take, both ways.
double Link(const std::vector<RankStep>& ranks, size_t a, size_t b) {
  return Arriving(ranks[a], b) + Arriving(ranks[b], a);
}

// With most of the others, so that a peer's bad link is not this rank's.
double TypicalLink(const std::vector<RankStep>& ranks, size_t rank) {
  return MedianOfOthers(ranks.size(), rank, [&](size_t other) { return Link(ranks, rank, other); });
}

double WorstLink(const std::vector<RankStep>& ranks, size_t rank) {
  double worst = 0;
  for (size_t other = 0; other < ranks.size(); ++other) {
    if (other != rank) worst = std::max(worst, Link(ranks, rank, other));
  }
  return worst;
}

struct Limits {
  double slower, of_step;
  bool Exceeded(double mine, double others, double step) const {
    return mine > others * slower && mine - others > step * of_step;
  }
};

std::string Say(const char* kind, double mine, double others) {
  return absl::StrFormat("%s: %.3g ms of a step, the others %.3g ms", kind, 1e3 * mine, 1e3 * others);
}

// What `other` would take for as many shards as `rank` has.
RankStep AsMany(const std::vector<RankStep>& ranks, size_t other, size_t rank) {
  RankStep step = ranks[other];
  const double times = static_cast<double>(ranks[rank].shards) / ranks[other].shards;
  step.input *= times;
  step.compute *= times;
  return step;
}

// Which part of its own is longer than the others' by most.
std::string WhyOwn(const std::vector<RankStep>& ranks, size_t rank) {
  using Part = std::pair<const char*, double RankStep::*>;
  double most = 0;
  std::string why;
  for (const auto& [kind, part] : {Part("compute", &RankStep::compute), Part("input", &RankStep::input),
                                   Part("checkpoint", &RankStep::checkpoint)}) {
    const double mine = ranks[rank].*part;
    const double others =
        MedianOfOthers(ranks.size(), rank, [&](size_t other) { return AsMany(ranks, other, rank).*part; });
    if (!why.empty() && mine - others <= most) continue;
    most = mine - others;
    why = Say(kind, mine, others);
  }
  return why;
}

}  // namespace

std::optional<std::string> WhyStraggler(const std::vector<RankStep>& ranks, size_t rank, bool flagged) {
  const Limits limits = flagged ? Limits{kStillSlower, kStillOfStep} : Limits{kSlower, kOfStep};
  const double own = ranks[rank].own();
  const double step = own + ranks[rank].communication;
  const double others_own =
      MedianOfOthers(ranks.size(), rank, [&](size_t other) { return AsMany(ranks, other, rank).own(); });
  if (limits.Exceeded(own, others_own, step)) return WhyOwn(ranks, rank);
  const double typical = TypicalLink(ranks, rank);
  const double others_typical =
      MedianOfOthers(ranks.size(), rank, [&](size_t other) { return TypicalLink(ranks, other); });
  // The slowest message is the one that the step waits for.
  const double worst = WorstLink(ranks, rank);
  if (typical > others_typical * limits.slower && worst - others_typical > step * limits.of_step) {
    return Say("communication", worst, others_typical);
  }
  return std::nullopt;
}

double StragglerRatio(std::vector<double> own) {
  const double slowest = *std::max_element(own.begin(), own.end());
  const double median = Median(std::move(own));
  return median > 0 ? slowest / median : 0;
}

}  // namespace lockstep
