// The part of cuBLASLt that matrix products use, as a table: the library is loaded when a job asks for it, so
// that one binary runs where there is none, and tests put a stand-in here (stand_in/lt.h). Written after
// cublasLt.h; lt_api_test.cc compares the two where the toolkit is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "kernels/cuda/stream.h"

struct cublasLtContext;

namespace lockstep::kernels {

enum class LtStatus : int {
  kSuccess = 0,
  kNotInitialized = 1,
  kAllocFailed = 3,
  kInvalidValue = 7,
  kArchMismatch = 8,
  kMappingError = 11,
  kExecutionFailed = 13,
  kInternalError = 14,
  kNotSupported = 15,
  kLicenseError = 16,
};

enum class LtType : int { kFloat32 = 0, kBfloat16 = 14 };  // cudaDataType
enum class LtCompute : int { kFloat32 = 68 };              // products and sums in float32, TF32 is another
enum class LtOperation : int32_t { kAsItIs = 0, kTransposed = 1 };

enum class LtLayoutAttribute : int { kBatchCount = 5, kBatchStride = 6 };  // int32_t, int64_t (elements)
enum class LtMatmulAttribute : int { kTransposeA = 3, kTransposeB = 4 };   // LtOperation
enum class LtPreferenceAttribute : int {
  kMaxWorkspace = 1,      // uint64_t, bytes
  kReductionSchemes = 3,  // uint32_t, a mask; 0: none but a sum in one sequence
  kAlignmentA = 5,        // uint32_t, bytes: of the address and of each matrix of a batch
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
  kImplementations = 12,  // uint64_t, kLt... below
};
enum class LtConfigAttribute : int { kSplitK = 2, kReductionScheme = 3 };  // int32_t, uint32_t
enum class LtCapability : int { kImplementation = 15 };                    // uint64_t, kLt... below

// What an algorithm computes with.
inline constexpr uint64_t kLtFma = 0x1, kLtTensorCores = 0x2;
inline constexpr uint64_t kLtAccumulatorFloat32 = 0x2 << 8, kLtAccumulators = 0xff << 8;
inline constexpr uint64_t kLtInputBfloat16 = 0x2 << 16, kLtInputFloat32 = 0x8 << 16, kLtInputs = 0xff << 16;

// "Can be trivially serialized and later restored for use with the same version of cuBLAS library."
struct LtAlgorithm {
  uint64_t data[8] = {};
  bool operator==(const LtAlgorithm&) const = default;
};

struct LtHeuristicResult {
  LtAlgorithm algorithm;
  size_t workspace = 0;  // bytes that it needs
  LtStatus state = LtStatus::kSuccess;
  float waves = 0;
  int reserved[4] = {};
};

struct LtMatmulOpaque;
struct LtLayoutOpaque;
struct LtPreferenceOpaque;
using LtMatmulHandle = LtMatmulOpaque*;
using LtLayoutHandle = LtLayoutOpaque*;
using LtPreferenceHandle = LtPreferenceOpaque*;

struct LtCalls {
  LtStatus (*Create)(cublasLtContext** context) = nullptr;
  LtStatus (*Destroy)(cublasLtContext* context) = nullptr;
  const char* (*GetStatusName)(LtStatus status) = nullptr;
  const char* (*GetStatusString)(LtStatus status) = nullptr;
  size_t (*GetVersion)() = nullptr;
  LtStatus (*MatmulDescCreate)(LtMatmulHandle* matmul, LtCompute compute, LtType scale) = nullptr;
  LtStatus (*MatmulDescDestroy)(LtMatmulHandle matmul) = nullptr;
  LtStatus (*MatmulDescSetAttribute)(LtMatmulHandle matmul, LtMatmulAttribute attribute, const void* value,
                                     size_t bytes) = nullptr;
  LtStatus (*MatrixLayoutCreate)(LtLayoutHandle* layout, LtType type, uint64_t rows, uint64_t columns,
                                 int64_t ld) = nullptr;
  LtStatus (*MatrixLayoutDestroy)(LtLayoutHandle layout) = nullptr;
  LtStatus (*MatrixLayoutSetAttribute)(LtLayoutHandle layout, LtLayoutAttribute attribute, const void* value,
                                       size_t bytes) = nullptr;
  LtStatus (*MatmulPreferenceCreate)(LtPreferenceHandle* preference) = nullptr;
  LtStatus (*MatmulPreferenceDestroy)(LtPreferenceHandle preference) = nullptr;
  LtStatus (*MatmulPreferenceSetAttribute)(LtPreferenceHandle preference, LtPreferenceAttribute attribute,
                                           const void* value, size_t bytes) = nullptr;
  LtStatus (*MatmulAlgoGetHeuristic)(cublasLtContext* context, LtMatmulHandle matmul, LtLayoutHandle a,
                                     LtLayoutHandle b, LtLayoutHandle c, LtLayoutHandle d,
                                     LtPreferenceHandle preference, int most, LtHeuristicResult* results,
                                     int* count) = nullptr;
  LtStatus (*MatmulAlgoCheck)(cublasLtContext* context, LtMatmulHandle matmul, LtLayoutHandle a,
                              LtLayoutHandle b, LtLayoutHandle c, LtLayoutHandle d,
                              const LtAlgorithm* algorithm, LtHeuristicResult* result) = nullptr;
  LtStatus (*MatmulAlgoConfigGetAttribute)(const LtAlgorithm* algorithm, LtConfigAttribute attribute,
                                           void* value, size_t bytes, size_t* written) = nullptr;
  LtStatus (*MatmulAlgoCapGetAttribute)(const LtAlgorithm* algorithm, LtCapability attribute, void* value,
                                        size_t bytes, size_t* written) = nullptr;
  // D = alpha op(A) op(B) + beta C, of matrices by columns.
  LtStatus (*Matmul)(cublasLtContext* context, LtMatmulHandle matmul, const void* alpha, const void* a,
                     LtLayoutHandle a_layout, const void* b, LtLayoutHandle b_layout, const void* beta,
                     const void* c, LtLayoutHandle c_layout, void* d, LtLayoutHandle d_layout,
                     const LtAlgorithm* algorithm, void* workspace, size_t workspace_bytes,
                     Stream stream) = nullptr;
};

// The first of CUDA 12.
inline constexpr size_t kOldestLt = 120000;
// What NVIDIA advises for sm_90.
inline constexpr int64_t kLtWorkspace = int64_t{32} << 20;  // bytes
// Below, a launch takes as long as the product, and one kernel is as good as another.
inline constexpr double kLtLeastWork = 1e8;

// A library, and how it is used.
struct LtLibrary {
  LtCalls calls;
  int64_t workspace = kLtWorkspace;  // bytes that an algorithm may want
  double least_work = kLtLeastWork;  // multiplications and additions of a product that is worth asking for
  // A candidate's time is the median of `rounds` by this clock, each of `times` products.
  double (*seconds)() = nullptr;
  int rounds = 3, times = 4;

  std::string version() const;  // "13.0.2"
};

// From $LOCKSTEP_CUBLASLT (a file), or where the system's loader or CUDA's installation has it. Loaded once.
// FAILED_PRECONDITION: there is none, or one that is too old; NOT_FOUND: LOCKSTEP_CUBLASLT is empty or none.
absl::StatusOr<const LtLibrary*> LoadLt();
// The same from one file, each time anew.
absl::StatusOr<LtLibrary> LoadLtFrom(const char* file);

// What a failed call means and what to do about it: "<who>: <call>: ...". UNIMPLEMENTED, INVALID_ARGUMENT:
// the library does not do that; INTERNAL: the device failed.
absl::Status ExplainLt(const LtCalls& lt, const std::string& who, const char* call, LtStatus status);

}  // namespace lockstep::kernels
