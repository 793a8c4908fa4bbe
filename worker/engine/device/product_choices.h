// How a job's large matrix products are computed: for each shape an algorithm of cuBLASLt's, or our own
// kernel. Which is faster was timed once; the choice decides bits, so it is recorded, and goes with the job.
//
//   lockstep products 1
//   NVIDIA H200, 132 multiprocessors of sm_90, cuBLASLt 13.0.2, arithmetic 1
//   bf16_m1024_n3072_k768_bT 00000000000000430000...
//   fp32_m1024_n768_k3072_add own
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "kernels/cublas/lt_api.h"

namespace lockstep::engine {

struct ProductChoices {
  std::string device;  // where they were timed, and with what: one line
  // By shape; none: our own kernel.
  std::map<std::string, std::optional<kernels::LtAlgorithm>> of;

  // Has it an algorithm of cuBLASLt's?
  bool any() const;
  std::string ToText() const;
  // DATA_LOSS: not what ToText writes.
  static absl::StatusOr<ProductChoices> Parse(absl::string_view text);
};

}  // namespace lockstep::engine
