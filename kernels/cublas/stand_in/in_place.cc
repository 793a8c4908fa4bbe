// Linked before lt_load.cc: whole programs run without cuBLASLt, or, with LOCKSTEP_STAND_IN_LT=N in the
// environment, over the stand-in, whose N-th algorithm is the fastest (-1: none).
#include <cstdlib>

#include "kernels/cublas/stand_in/lt.h"

namespace lockstep::kernels {

absl::StatusOr<const LtLibrary*> LoadLt() {
  const char* const fastest = std::getenv("LOCKSTEP_STAND_IN_LT");
  if (fastest == nullptr) return absl::NotFoundError("cuBLASLt's stand-in is not asked for");
  stand_in::Behave().fastest = std::atoi(fastest);
  return stand_in::Lt();
}

}  // namespace lockstep::kernels
