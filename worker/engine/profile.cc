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
constexpr int kArithmeticRevision = 4;

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

kernels::Rounding RoundingOf(const v1::JobSpec& spec) {
  return {spec.train().weight_rounding() == v1::ROUNDING_STOCHASTIC, spec.seed(), 0};
}

absl::StatusOr<Precision> PrecisionOf(v1::Precision wanted) {
  if (wanted == v1::PRECISION_AUTO) return kernels::cpu::HasBf16() ? Precision::kBf16 : Precision::kFp32;
  if (wanted != v1::PRECISION_BF16) return Precision::kFp32;
  if (kernels::cpu::HasBf16()) return Precision::kBf16;
  return absl::FailedPreconditionError(absl::StrCat(
      "train.precision: bf16 needs a processor that multiplies it natively (AVX512_BF16), this one offers ",
      kernels::cpu::InstructionSet(), "; use precision: auto or fp32, or run it on another worker"));
}

void PrepareComputeThread() { kernels::cpu::PrepareThread(); }

}  // namespace lockstep::engine
