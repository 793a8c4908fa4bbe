// The schedule `plateau` (torch.optim.lr_scheduler.ReduceLROnPlateau with threshold 0): the learning rate's
// factor, which falls when a watched metric has not improved in more than `patience` validations. Part of the
// program's state.
#pragma once

#include <map>
#include <string>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

class Plateau {
 public:
  explicit Plateau(const v1::TrainSpec& spec);

  // After each validation; `metrics` are named validation/... A value that is not finite is no improvement.
  void Observe(const std::map<std::string, double>& metrics);
  // 1 without this schedule.
  double factor() const { return factor_; }

  // Empty without this schedule.
  std::map<std::string, std::string> state() const;
  absl::Status SetState(const std::map<std::string, std::string>& state);

 private:
  bool enabled_;
  std::string metric_;
  double reduction_, smallest_;
  int patience_;
  double factor_ = 1;
  double best_ = 0;
  bool has_best_ = false;
  int bad_ = 0;  // validations since the best, or since the last reduction
};

}  // namespace lockstep
