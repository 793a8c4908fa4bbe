#include "worker/trainer/early_stopping.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "worker/trainer/watched_metric.h"

namespace lockstep {

EarlyStopping::EarlyStopping(const v1::TrainSpec& spec)
    : enabled_(spec.has_early_stopping()),
      metric_(spec.early_stopping().metric().empty() ? "validation/loss" : spec.early_stopping().metric()),
      lower_is_better_(LowerIsBetter(metric_)),
      patience_(spec.early_stopping().patience()),
      min_delta_(spec.early_stopping().min_delta()) {}

bool EarlyStopping::Observe(const std::map<std::string, double>& metrics, int64_t epoch) {
  const auto found = metrics.find(metric_);
  if (found == metrics.end()) return false;
  const double value = found->second;
  const double gain = lower_is_better_ ? best_ - value : value - best_;
  if (std::isfinite(value) && (best_epoch_ == 0 || gain > min_delta_)) {
    best_ = value;
    best_epoch_ = epoch;
    bad_epochs_ = 0;
    return true;
  }
  ++bad_epochs_;
  return false;
}

std::map<std::string, std::string> EarlyStopping::state() const {
  // %a keeps each bit of a double.
  return {{"early_stopping.best", absl::StrFormat("%a", best_)},
          {"early_stopping.best_epoch", absl::StrFormat("%d", best_epoch_)},
          {"early_stopping.bad_epochs", absl::StrFormat("%d", bad_epochs_)}};
}

absl::Status EarlyStopping::SetState(const std::map<std::string, std::string>& state) {
  const auto best = state.find("early_stopping.best");
  const auto epoch = state.find("early_stopping.best_epoch");
  const auto bad = state.find("early_stopping.bad_epochs");
  if (best == state.end() || epoch == state.end() || bad == state.end()) {
    return absl::DataLossError(
        "the checkpoint's program state lacks early_stopping.*: it was written by another program or "
        "version");
  }
  if (!absl::SimpleAtoi(epoch->second, &best_epoch_) || !absl::SimpleAtoi(bad->second, &bad_epochs_)) {
    return absl::DataLossError("the checkpoint's early_stopping state is not a number");
  }
  best_ = std::strtod(best->second.c_str(), nullptr);
  return absl::OkStatus();
}

}  // namespace lockstep
