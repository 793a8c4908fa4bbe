#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "kernels/gemm.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

// Raise it when a kernel's bits change.
constexpr int kArithmeticRevision = 2;

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (absl::StartsWith(line, "model name") && colon != std::string::npos) {
      return std::string(absl::StripAsciiWhitespace(absl::string_view(line).substr(colon + 1)));
    }
  }
  return "unknown";
}

}  // namespace

v1::NumericProfile CurrentProfile() {
  PrepareComputeThread();
  v1::NumericProfile profile;
  profile.set_device_kind("cpu");
  profile.set_device_model(ProcessorName());
  profile.set_instruction_set(kernels::cpu::InstructionSet());
  profile.set_math_library(kernels::cpu::MathLibrary());
  profile.set_arithmetic_revision(kArithmeticRevision);
  profile.set_threads(1);
  return profile;
}

void PrepareComputeThread() { kernels::cpu::PrepareThread(); }

}  // namespace lockstep::engine
