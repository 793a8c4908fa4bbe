// A job's spec as MLflow's params: one for each field that is set, "train.optimizer.adamw.learning_rate".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// In the order of the keys, none twice. Keys have at most 250 characters, values 500, as MLflow wants it.
std::vector<std::pair<std::string, std::string>> SpecParams(const v1::JobSpec& spec);

}  // namespace lockstep
