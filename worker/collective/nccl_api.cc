#include "worker/collective/nccl_api.h"

#include <dlfcn.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

absl::Status NotFound(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("NCCL cannot be loaded: ", why, "; install libnccl2 (",
                                                    NcclVersionText(kOldestNccl),
                                                    " or newer), or name the file in LOCKSTEP_NCCL"));
}

template <class Function>
absl::Status Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr ? absl::OkStatus() : NotFound(absl::StrCat("it has no ", name));
}

const char* LikelyCause(NcclResult result, absl::string_view text) {
  if (absl::StrContains(text, "no socket interface found")) {
    return "NCCL interface not found: NCCL_SOCKET_IFNAME must name an interface of this machine that its "
           "peers reach ('ip address' lists them), or be unset";
  }
  switch (result) {
    case NcclResult::kUnhandledCudaError:
      return "the GPU or its driver failed: nvidia-smi and the kernel's log (Xid) say more";
    case NcclResult::kSystemError:
      return "a socket or shared memory failed: NCCL_SOCKET_IFNAME must name an interface that the peers "
             "reach, /dev/shm must have room, no firewall may stand between";
    case NcclResult::kInvalidUsage:
      return "an NCCL_* variable that does not fit this machine, or two ranks on one GPU (tests may do that "
             "if each process has its own NCCL_HOSTID)";
    case NcclResult::kRemoteError:
      return "a peer's process ended, or the network between: see the logs of the other ranks";
    default:
      return "a bug in Lockstep or NCCL: please report it";
  }
}

absl::StatusCode CodeOf(NcclResult result) {
  switch (result) {
    case NcclResult::kSystemError:
    case NcclResult::kRemoteError:
      return absl::StatusCode::kUnavailable;
    case NcclResult::kInvalidUsage:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

std::string NcclVersionText(int version) {
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

absl::StatusOr<NcclCalls> LoadNcclFrom(const char* file) {
  // It stays: threads of its own may run in it.
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return NotFound(dlerror());
  NcclCalls calls;
  RETURN_IF_ERROR(Find(library, "ncclGetVersion", calls.GetVersion));
  RETURN_IF_ERROR(Find(library, "ncclGetUniqueId", calls.GetUniqueId));
  RETURN_IF_ERROR(Find(library, "ncclCommInitRankConfig", calls.CommInitRankConfig));
  RETURN_IF_ERROR(Find(library, "ncclCommFinalize", calls.CommFinalize));
  RETURN_IF_ERROR(Find(library, "ncclCommDestroy", calls.CommDestroy));
  RETURN_IF_ERROR(Find(library, "ncclCommAbort", calls.CommAbort));
  RETURN_IF_ERROR(Find(library, "ncclCommGetAsyncError", calls.CommGetAsyncError));
  RETURN_IF_ERROR(Find(library, "ncclGetErrorString", calls.GetErrorString));
  RETURN_IF_ERROR(Find(library, "ncclGetLastError", calls.GetLastError));
  RETURN_IF_ERROR(Find(library, "ncclGroupStart", calls.GroupStart));
  RETURN_IF_ERROR(Find(library, "ncclGroupEnd", calls.GroupEnd));
  RETURN_IF_ERROR(Find(library, "ncclSend", calls.Send));
  RETURN_IF_ERROR(Find(library, "ncclRecv", calls.Recv));
  int version = 0;
  if (const NcclResult result = calls.GetVersion(&version); result != NcclResult::kSuccess) {
    return ExplainNccl(calls, file, "ncclGetVersion", result, nullptr);
  }
  if (version < kOldestNccl) {
    return NotFound(absl::StrCat(file, " is version ", NcclVersionText(version)));
  }
  return calls;
}

absl::Status ExplainNccl(const NcclCalls& nccl, const std::string& who, const char* call, NcclResult result,
                         ncclComm* comm) {
  const char* last = nccl.GetLastError(comm);
  const std::string text = last == nullptr ? "" : last;
  const std::string said = text.empty() ? "" : absl::StrCat(" (", text, ")");
  const bool no_interface = absl::StrContains(text, "no socket interface found");
  return absl::Status(no_interface ? absl::StatusCode::kFailedPrecondition : CodeOf(result),
                      absl::StrCat(who, ": ", call, ": ", nccl.GetErrorString(result), said, "; likely ",
                                   LikelyCause(result, text), "; NCCL_DEBUG=INFO makes NCCL say more"));
}

}  // namespace lockstep
