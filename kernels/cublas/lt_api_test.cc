// lt_api.h against NVIDIA's own header and, where it is installed, library.
#include "kernels/cublas/lt_api.h"

#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"

namespace lockstep::kernels {
namespace {

#define EXPECT_VALUE(ours, theirs) static_assert(static_cast<int64_t>(ours) == static_cast<int64_t>(theirs))
EXPECT_VALUE(LtStatus::kSuccess, CUBLAS_STATUS_SUCCESS);
EXPECT_VALUE(LtStatus::kNotInitialized, CUBLAS_STATUS_NOT_INITIALIZED);
EXPECT_VALUE(LtStatus::kAllocFailed, CUBLAS_STATUS_ALLOC_FAILED);
EXPECT_VALUE(LtStatus::kInvalidValue, CUBLAS_STATUS_INVALID_VALUE);
EXPECT_VALUE(LtStatus::kArchMismatch, CUBLAS_STATUS_ARCH_MISMATCH);
EXPECT_VALUE(LtStatus::kMappingError, CUBLAS_STATUS_MAPPING_ERROR);
EXPECT_VALUE(LtStatus::kExecutionFailed, CUBLAS_STATUS_EXECUTION_FAILED);
EXPECT_VALUE(LtStatus::kInternalError, CUBLAS_STATUS_INTERNAL_ERROR);
EXPECT_VALUE(LtStatus::kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
EXPECT_VALUE(LtStatus::kLicenseError, CUBLAS_STATUS_LICENSE_ERROR);
EXPECT_VALUE(LtType::kFloat32, CUDA_R_32F);
EXPECT_VALUE(LtType::kBfloat16, CUDA_R_16BF);
EXPECT_VALUE(LtCompute::kFloat32, CUBLAS_COMPUTE_32F);
EXPECT_VALUE(LtOperation::kAsItIs, CUBLAS_OP_N);
EXPECT_VALUE(LtOperation::kTransposed, CUBLAS_OP_T);
EXPECT_VALUE(LtLayoutAttribute::kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
EXPECT_VALUE(LtLayoutAttribute::kBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
EXPECT_VALUE(LtMatmulAttribute::kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
EXPECT_VALUE(LtMatmulAttribute::kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB);
EXPECT_VALUE(LtPreferenceAttribute::kMaxWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
EXPECT_VALUE(LtPreferenceAttribute::kReductionSchemes, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
EXPECT_VALUE(LtPreferenceAttribute::kAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
EXPECT_VALUE(LtPreferenceAttribute::kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
EXPECT_VALUE(LtPreferenceAttribute::kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
EXPECT_VALUE(LtPreferenceAttribute::kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
EXPECT_VALUE(LtPreferenceAttribute::kImplementations, CUBLASLT_MATMUL_PREF_IMPL_MASK);
EXPECT_VALUE(LtConfigAttribute::kSplitK, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
EXPECT_VALUE(LtConfigAttribute::kReductionScheme, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
EXPECT_VALUE(LtCapability::kImplementation, CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS);
EXPECT_VALUE(0, CUBLASLT_REDUCTION_SCHEME_NONE);
EXPECT_VALUE(kLtFma, CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA);
EXPECT_VALUE(kLtTensorCores, CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA);
EXPECT_VALUE(kLtAccumulatorFloat32, CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F);
EXPECT_VALUE(kLtAccumulators, CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_TYPE_MASK);
EXPECT_VALUE(kLtInputBfloat16, CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16BF);
EXPECT_VALUE(kLtInputFloat32, CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F);
EXPECT_VALUE(kLtInputs, CUBLASLT_NUMERICAL_IMPL_FLAGS_OP_INPUT_TYPE_MASK);

static_assert(sizeof(LtOperation) == sizeof(cublasOperation_t));
static_assert(sizeof(LtAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(LtHeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
#define EXPECT_OFFSET(ours, theirs) \
  static_assert(offsetof(LtHeuristicResult, ours) == offsetof(cublasLtMatmulHeuristicResult_t, theirs))
EXPECT_OFFSET(algorithm, algo);
EXPECT_OFFSET(workspace, workspaceSize);
EXPECT_OFFSET(state, state);
EXPECT_OFFSET(waves, wavesCount);
EXPECT_OFFSET(reserved, reserved);

// The same but for the names of types: parameter by parameter of one size, and the same count.
template <class Our, class... Ours, class Their, class... Theirs>
constexpr bool SameShape(Our (*)(Ours...), Their (*)(Theirs...)) {
  if constexpr (sizeof...(Ours) != sizeof...(Theirs) || sizeof(Our) != sizeof(Their)) {
    return false;
  } else {
    return ((sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>)&&...);
  }
}
#define EXPECT_SHAPE(call)                                               \
  static_assert(SameShape(static_cast<decltype(LtCalls::call)>(nullptr), \
                          static_cast<decltype(&cublasLt##call)>(nullptr)))
EXPECT_SHAPE(Create);
EXPECT_SHAPE(Destroy);
EXPECT_SHAPE(GetStatusName);
EXPECT_SHAPE(GetStatusString);
EXPECT_SHAPE(GetVersion);
EXPECT_SHAPE(MatmulDescCreate);
EXPECT_SHAPE(MatmulDescDestroy);
EXPECT_SHAPE(MatmulDescSetAttribute);
EXPECT_SHAPE(MatrixLayoutCreate);
EXPECT_SHAPE(MatrixLayoutDestroy);
EXPECT_SHAPE(MatrixLayoutSetAttribute);
EXPECT_SHAPE(MatmulPreferenceCreate);
EXPECT_SHAPE(MatmulPreferenceDestroy);
EXPECT_SHAPE(MatmulPreferenceSetAttribute);
EXPECT_SHAPE(MatmulAlgoGetHeuristic);
EXPECT_SHAPE(MatmulAlgoCheck);
EXPECT_SHAPE(MatmulAlgoConfigGetAttribute);
EXPECT_SHAPE(MatmulAlgoCapGetAttribute);
EXPECT_SHAPE(Matmul);

TEST(LtApiTest, InstalledLibraryLacksACall) {
  const absl::StatusOr<const LtLibrary*> lt = LoadLt();
  EXPECT_FALSE(absl::StrContains(lt.status().message(), " has no ")) << lt.status();
  if (!lt.ok()) GTEST_SKIP() << lt.status();
  EXPECT_GE((*lt)->calls.GetVersion(), kOldestLt);
  EXPECT_STREQ((*lt)->calls.GetStatusName(LtStatus::kNotSupported), "CUBLAS_STATUS_NOT_SUPPORTED");
}

// Descriptors are the host's alone, so that sizes and numbers of attributes can be tried without a device.
TEST(LtApiTest, InstalledLibraryRefusesAnAttribute) {
  const absl::StatusOr<const LtLibrary*> lt = LoadLt();
  if (!lt.ok()) GTEST_SKIP() << lt.status();
  const LtCalls& calls = (*lt)->calls;
  LtMatmulHandle matmul = nullptr;
  ASSERT_EQ(calls.MatmulDescCreate(&matmul, LtCompute::kFloat32, LtType::kFloat32), LtStatus::kSuccess);
  const LtOperation transposed = LtOperation::kTransposed;
  for (const auto attribute : {LtMatmulAttribute::kTransposeA, LtMatmulAttribute::kTransposeB}) {
    EXPECT_EQ(calls.MatmulDescSetAttribute(matmul, attribute, &transposed, sizeof(transposed)),
              LtStatus::kSuccess);
  }
  EXPECT_EQ(calls.MatmulDescDestroy(matmul), LtStatus::kSuccess);
  LtLayoutHandle layout = nullptr;
  ASSERT_EQ(calls.MatrixLayoutCreate(&layout, LtType::kBfloat16, 3, 4, 3), LtStatus::kSuccess);
  const int32_t count = 2;
  const int64_t stride = 0;
  EXPECT_EQ(calls.MatrixLayoutSetAttribute(layout, LtLayoutAttribute::kBatchCount, &count, sizeof(count)),
            LtStatus::kSuccess);
  EXPECT_EQ(calls.MatrixLayoutSetAttribute(layout, LtLayoutAttribute::kBatchStride, &stride, sizeof(stride)),
            LtStatus::kSuccess);
  EXPECT_EQ(calls.MatrixLayoutDestroy(layout), LtStatus::kSuccess);
  LtPreferenceHandle preference = nullptr;
  ASSERT_EQ(calls.MatmulPreferenceCreate(&preference), LtStatus::kSuccess);
  const uint64_t workspace = kLtWorkspace, implementations = kLtFma | kLtInputFloat32;
  const uint32_t schemes = 0, alignment = 16;
  const auto set = [&](LtPreferenceAttribute attribute, const auto& value) {
    return calls.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value));
  };
  EXPECT_EQ(set(LtPreferenceAttribute::kMaxWorkspace, workspace), LtStatus::kSuccess);
  EXPECT_EQ(set(LtPreferenceAttribute::kReductionSchemes, schemes), LtStatus::kSuccess);
  EXPECT_EQ(set(LtPreferenceAttribute::kImplementations, implementations), LtStatus::kSuccess);
  for (const auto attribute : {LtPreferenceAttribute::kAlignmentA, LtPreferenceAttribute::kAlignmentB,
                               LtPreferenceAttribute::kAlignmentC, LtPreferenceAttribute::kAlignmentD}) {
    EXPECT_EQ(set(attribute, alignment), LtStatus::kSuccess);
  }
  EXPECT_EQ(calls.MatmulPreferenceDestroy(preference), LtStatus::kSuccess);
}

TEST(LtApiTest, LibraryThatIsTooOldIsTaken) {
  const absl::Status status = LoadLtFrom(LOCKSTEP_OLD_CUBLASLT).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "is version 11.11.3")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "12.0.0 or newer")) << status;
}

// A process loads one library, and keeps it.
TEST(LtApiDeathTest, LibraryIsLoadedThoughItIsSwitchedOffOrNotTheOneThatIsNamed) {
  const auto load = [](const char* file) {
    setenv("LOCKSTEP_CUBLASLT", file, 1);
    std::fprintf(stderr, "%s\n", LoadLt().status().ToString().c_str());
    std::_Exit(LoadLt().ok() ? 1 : 0);
  };
  EXPECT_EXIT(load("none"), testing::ExitedWithCode(0), "NOT_FOUND: .*switched off by LOCKSTEP_CUBLASLT");
  EXPECT_EXIT(load(""), testing::ExitedWithCode(0), "NOT_FOUND: .*switched off by LOCKSTEP_CUBLASLT");
  EXPECT_EXIT(load("/nowhere/lib.so"), testing::ExitedWithCode(0), "/nowhere/lib.so: cannot open");
}

TEST(LtApiTest, FileThatIsNoLibraryIsAnErrorWithoutAdvice) {
  const absl::Status status = LoadLtFrom("/dev/null").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "LOCKSTEP_CUBLASLT")) << status;
  const absl::Status other = LoadLtFrom("libm.so.6").status();
  EXPECT_TRUE(absl::StrContains(other.message(), "libm.so.6 has no cublasLtCreate")) << other;
}

}  // namespace
}  // namespace lockstep::kernels
