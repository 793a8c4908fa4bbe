#include "kernels/cuda/launched.h"

#include "kernels/emulation/run.h"

namespace lockstep::kernels {

absl::Status ToStatus(const Launched& launched) {
  if (launched.ok()) return absl::OkStatus();
  if (launched.error == Launched::kByLibrary) return absl::InternalError(launched.what);
  return absl::InternalError(std::string(launched.what) + ": " + emulation::Error());
}

}  // namespace lockstep::kernels
