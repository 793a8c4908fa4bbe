// Linked before the collective's own ways to a GPU and to NCCL (cuda_device.cc, nccl_load.cc): whole programs
// run over the stand-in. LOCKSTEP_STAND_IN=kill:N or fail:N in the environment ends the process, or lets its
// communicators fail, at its N-th group of messages.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "worker/collective/device.h"
#include "worker/collective/nccl_api.h"
#include "worker/collective/stand_in/device.h"
#include "worker/collective/stand_in/nccl.h"

namespace lockstep {
namespace {

void SetFault() {
  const char* const text = std::getenv("LOCKSTEP_STAND_IN");
  int group = 0;
  if (text == nullptr) return;
  if (std::sscanf(text, "kill:%d", &group) == 1) {
    stand_in::SetFault(group, [] { std::raise(SIGKILL); });
  } else if (std::sscanf(text, "fail:%d", &group) == 1) {
    stand_in::SetFault(group, [] { stand_in::FailAsynchronously(NcclResult::kRemoteError, "as ordered"); });
  } else {
    std::fprintf(stderr, "LOCKSTEP_STAND_IN: '%s', expected kill:N or fail:N\n", text);
    std::abort();
  }
}

}  // namespace

absl::StatusOr<CollectiveDevice*> TheCollectiveDevice() { return stand_in::Device(); }
absl::StatusOr<const NcclCalls*> LoadNccl() {
  static const bool once = (SetFault(), true);
  (void)once;
  return stand_in::Nccl();
}

}  // namespace lockstep
