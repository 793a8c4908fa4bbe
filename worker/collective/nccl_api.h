// The part of NCCL that the collective calls, as a table: the library is loaded when the first job asks for
// it, so that one binary runs where there is none, and tests put a stand-in here (stand_in/nccl.h). Written
// after nccl.h; nccl_api_test.cc compares the two where the toolkit is installed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/status.h"
#include "kernels/cuda/stream.h"

struct ncclComm;

namespace lockstep {

enum class NcclResult : int {
  kSuccess = 0,
  kUnhandledCudaError = 1,
  kSystemError = 2,
  kInternalError = 3,
  kInvalidArgument = 4,
  kInvalidUsage = 5,
  kRemoteError = 6,
  kInProgress = 7,
};

enum class NcclType : int { kInt8 = 0, kFloat32 = 7 };

struct NcclUniqueId {
  char internal[128];
};

// ncclConfig_t as of 2.14. Later ones only append; NCCL goes by size and version, and takes its defaults for
// the rest.
struct NcclConfig {
  size_t size = sizeof(NcclConfig);
  uint32_t magic = 0xcafebeef;
  uint32_t version = 21400;
  int blocking = 0;
};

struct NcclCalls {
  NcclResult (*GetVersion)(int* version) = nullptr;
  NcclResult (*GetUniqueId)(NcclUniqueId* id) = nullptr;
  NcclResult (*CommInitRankConfig)(ncclComm** comm, int world, NcclUniqueId id, int rank,
                                   NcclConfig* config) = nullptr;
  NcclResult (*CommFinalize)(ncclComm* comm) = nullptr;
  NcclResult (*CommDestroy)(ncclComm* comm) = nullptr;
  NcclResult (*CommAbort)(ncclComm* comm) = nullptr;
  NcclResult (*CommGetAsyncError)(ncclComm* comm, NcclResult* error) = nullptr;
  const char* (*GetErrorString)(NcclResult result) = nullptr;
  const char* (*GetLastError)(ncclComm* comm) = nullptr;
  NcclResult (*GroupStart)() = nullptr;
  NcclResult (*GroupEnd)() = nullptr;
  NcclResult (*Send)(const void* data, size_t count, NcclType type, int peer, ncclComm* comm,
                     kernels::Stream stream) = nullptr;
  NcclResult (*Recv)(void* data, size_t count, NcclType type, int peer, ncclComm* comm,
                     kernels::Stream stream) = nullptr;
};

// The first that can abort a communicator from another thread without a deadlock (NVIDIA/nccl issue 992).
inline constexpr int kOldestNccl = 21900;

// From $LOCKSTEP_NCCL (a file), or where the system's loader or CUDA's installation has it. Loaded once.
// FAILED_PRECONDITION: there is none, or one that is too old.
absl::StatusOr<const NcclCalls*> LoadNccl();
// The same from one file, each time anew.
absl::StatusOr<NcclCalls> LoadNcclFrom(const char* file);

// "2.28.9"
std::string NcclVersionText(int version);

// What a failed call means and what to do about it: "<who>: <call>: ...". `comm` may be null.
absl::Status ExplainNccl(const NcclCalls& nccl, const std::string& who, const char* call, NcclResult result,
                         ncclComm* comm);

}  // namespace lockstep
