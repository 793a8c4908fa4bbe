// Remembers the best value of the watched metric, and says when patience is over. Without early_stopping in
// the spec it still watches validation/loss, for "the best checkpoint", and never stops.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

class EarlyStopping {
 public:
  explicit EarlyStopping(const v1::TrainSpec& spec);

  // After each validation, in `epoch` (from 1). Returns true if this is the best so far. `metrics` are named
  // validation/...
  bool Observe(const std::map<std::string, double>& metrics, int64_t epoch);
  bool should_stop() const { return enabled_ && bad_epochs_ >= patience_; }
  bool enabled() const { return enabled_; }
  bool has_best() const { return best_epoch_ > 0; }
  int64_t best_epoch() const { return best_epoch_; }
  double best_value() const { return best_; }
  const std::string& metric() const { return metric_; }

  std::map<std::string, std::string> state() const;
  absl::Status SetState(const std::map<std::string, std::string>& state);

 private:
  bool enabled_;
  std::string metric_;
  bool lower_is_better_;
  int patience_;
  double min_delta_;
  double best_ = 0;
  int64_t best_epoch_ = 0;  // 1-based; 0: none yet
  int bad_epochs_ = 0;
};

}  // namespace lockstep
