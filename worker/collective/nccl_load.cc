// Which NCCL this process uses. Tests link stand_in/in_place.cc before it.
#include <cstdlib>

#include "worker/collective/nccl_api.h"

namespace lockstep {
namespace {

constexpr const char* kPlaces[] = {"libnccl.so.2", "/usr/local/cuda/lib64/libnccl.so.2",
                                   "/usr/local/cuda/lib/libnccl.so.2"};

absl::StatusOr<NcclCalls> LoadAny() {
  if (const char* file = std::getenv("LOCKSTEP_NCCL"); file != nullptr) return LoadNcclFrom(file);
  absl::Status first;
  for (const char* place : kPlaces) {
    const absl::StatusOr<NcclCalls> calls = LoadNcclFrom(place);
    if (calls.ok()) return calls;
    if (first.ok()) first = calls.status();
  }
  return first;
}

}  // namespace

absl::StatusOr<const NcclCalls*> LoadNccl() {
  static const absl::StatusOr<NcclCalls> calls = LoadAny();
  RETURN_IF_ERROR(calls.status());
  return &*calls;
}

}  // namespace lockstep
