// Which way a metric improves.
#pragma once

#include <string>

#include "absl/strings/match.h"

namespace lockstep {

// Losses and errors fall; accuracy, precision, recall, f1 and r2 rise.
inline bool LowerIsBetter(const std::string& metric) {
  for (const char* name : {"/accuracy", "/precision", "/recall", "/f1", "/r2"}) {
    if (absl::EndsWith(metric, name)) return false;
  }
  return true;
}

}  // namespace lockstep
