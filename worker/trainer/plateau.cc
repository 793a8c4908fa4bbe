#include "worker/trainer/plateau.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "worker/trainer/watched_metric.h"

namespace lockstep {

Plateau::Plateau(const v1::TrainSpec& spec) : enabled_(spec.schedule().has_plateau()) {
  const v1::PlateauSchedule& plateau = spec.schedule().plateau();
  metric_ = plateau.metric().empty() ? "validation/loss" : plateau.metric();
  reduction_ = plateau.has_factor() ? plateau.factor() : 0.1;
  smallest_ = plateau.min_factor();
  patience_ = plateau.has_patience() ? plateau.patience() : 3;
}

void Plateau::Observe(const std::map<std::string, double>& metrics) {
  const auto found = metrics.find(metric_);
  if (!enabled_ || found == metrics.end()) return;
  const double value = found->second;
  if (std::isfinite(value) && (!has_best_ || (LowerIsBetter(metric_) ? value < best_ : value > best_))) {
    best_ = value;
    has_best_ = true;
    bad_ = 0;
    return;
  }
  if (++bad_ <= patience_) return;
  factor_ = std::max(factor_ * reduction_, smallest_);
  bad_ = 0;
}

std::map<std::string, std::string> Plateau::state() const {
  if (!enabled_) return {};
  // %a keeps each bit of a double.
  return {{"plateau.factor", absl::StrFormat("%a", factor_)},
          {"plateau.best", has_best_ ? absl::StrFormat("%a", best_) : "none"},
          {"plateau.bad", absl::StrFormat("%d", bad_)}};
}

absl::Status Plateau::SetState(const std::map<std::string, std::string>& state) {
  if (!enabled_) return absl::OkStatus();
  const auto factor = state.find("plateau.factor");
  const auto best = state.find("plateau.best");
  const auto bad = state.find("plateau.bad");
  if (factor == state.end() || best == state.end() || bad == state.end() ||
      !absl::SimpleAtoi(bad->second, &bad_)) {
    return absl::DataLossError(
        "the program state lacks plateau.*: it was written by a job with another train.schedule, or by "
        "another version");
  }
  factor_ = std::strtod(factor->second.c_str(), nullptr);
  has_best_ = best->second != "none";
  best_ = has_best_ ? std::strtod(best->second.c_str(), nullptr) : 0;
  return absl::OkStatus();
}

}  // namespace lockstep
