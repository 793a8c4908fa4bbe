#include "kernels/cublas/lt_api.h"

#include <dlfcn.h>

#include <chrono>

#include "absl/strings/str_cat.h"

namespace lockstep::kernels {
namespace {

std::string VersionText(size_t version) {
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

absl::Status CannotLoad(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("cuBLASLt cannot be loaded: ", why, "; install CUDA's libcublas (", VersionText(kOldestLt),
                   " or newer), or name the file of libcublasLt in LOCKSTEP_CUBLASLT"));
}

template <class Function>
absl::Status FindIn(void* library, const char* file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr ? absl::OkStatus() : CannotLoad(absl::StrCat(file, " has no ", name));
}

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const char* CauseOf(LtStatus status) {
  switch (status) {
    case LtStatus::kNotInitialized:
      return "no GPU answers, or the driver is older than the library: see nvidia-smi";
    case LtStatus::kAllocFailed:
      return "the host's or the device's memory is full";
    case LtStatus::kArchMismatch:
      return "the algorithm is one of another GPU";
    case LtStatus::kNotSupported:
      return "this library has no algorithm for it on this GPU";
    case LtStatus::kExecutionFailed:
    case LtStatus::kMappingError:
      return "the GPU or its driver failed: nvidia-smi and the kernel's log (Xid) say more";
    default:
      return "a bug in Lockstep or cuBLASLt: please report it";
  }
}

absl::StatusCode CodeOf(LtStatus status) {
  switch (status) {
    case LtStatus::kInvalidValue:
      return absl::StatusCode::kInvalidArgument;
    case LtStatus::kNotSupported:
    case LtStatus::kArchMismatch:
      return absl::StatusCode::kUnimplemented;
    case LtStatus::kAllocFailed:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

std::string LtLibrary::version() const { return VersionText(calls.GetVersion()); }

absl::StatusOr<LtLibrary> LoadLtFrom(const char* file) {
  // It stays: plans of other threads may be in it.
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CannotLoad(dlerror());
  LtLibrary lt;
  lt.seconds = SteadySeconds;
  LtCalls& calls = lt.calls;
#define FIND_LT_CALL(call) RETURN_IF_ERROR(FindIn(library, file, "cublasLt" #call, calls.call))
  FIND_LT_CALL(Create);
  FIND_LT_CALL(Destroy);
  FIND_LT_CALL(GetStatusName);
  FIND_LT_CALL(GetStatusString);
  FIND_LT_CALL(GetVersion);
  FIND_LT_CALL(MatmulDescCreate);
  FIND_LT_CALL(MatmulDescDestroy);
  FIND_LT_CALL(MatmulDescSetAttribute);
  FIND_LT_CALL(MatrixLayoutCreate);
  FIND_LT_CALL(MatrixLayoutDestroy);
  FIND_LT_CALL(MatrixLayoutSetAttribute);
  FIND_LT_CALL(MatmulPreferenceCreate);
  FIND_LT_CALL(MatmulPreferenceDestroy);
  FIND_LT_CALL(MatmulPreferenceSetAttribute);
  FIND_LT_CALL(MatmulAlgoGetHeuristic);
  FIND_LT_CALL(MatmulAlgoCheck);
  FIND_LT_CALL(MatmulAlgoConfigGetAttribute);
  FIND_LT_CALL(MatmulAlgoCapGetAttribute);
  FIND_LT_CALL(Matmul);
#undef FIND_LT_CALL
  if (calls.GetVersion() < kOldestLt) return CannotLoad(absl::StrCat(file, " is version ", lt.version()));
  return lt;
}

absl::Status ExplainLt(const LtCalls& lt, const std::string& who, const char* call, LtStatus status) {
  return absl::Status(CodeOf(status), absl::StrCat(who, ": ", call, ": ", lt.GetStatusName(status), " (",
                                                   static_cast<int>(status), "); likely ", CauseOf(status),
                                                   "; CUBLASLT_LOG_LEVEL=1 makes cuBLASLt say more"));
}

}  // namespace lockstep::kernels
