// nccl_api.h against NVIDIA's own header and, where it is installed, library.
#include "worker/collective/nccl_api.h"

#include <gtest/gtest.h>
#include <nccl.h>

#include <cstddef>
#include <cstdlib>

#include "absl/strings/match.h"

namespace lockstep {
namespace {

static_assert(sizeof(NcclUniqueId) == sizeof(ncclUniqueId));
static_assert(offsetof(NcclConfig, size) == offsetof(ncclConfig_t, size));
static_assert(offsetof(NcclConfig, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(NcclConfig, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(NcclConfig, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(sizeof(NcclConfig) <= sizeof(ncclConfig_t));
static_assert(static_cast<int>(NcclResult::kSuccess) == ncclSuccess);
static_assert(static_cast<int>(NcclResult::kUnhandledCudaError) == ncclUnhandledCudaError);
static_assert(static_cast<int>(NcclResult::kSystemError) == ncclSystemError);
static_assert(static_cast<int>(NcclResult::kInternalError) == ncclInternalError);
static_assert(static_cast<int>(NcclResult::kInvalidArgument) == ncclInvalidArgument);
static_assert(static_cast<int>(NcclResult::kInvalidUsage) == ncclInvalidUsage);
static_assert(static_cast<int>(NcclResult::kRemoteError) == ncclRemoteError);
static_assert(static_cast<int>(NcclResult::kInProgress) == ncclInProgress);
static_assert(static_cast<int>(NcclType::kInt8) == ncclInt8);
static_assert(static_cast<int>(NcclType::kFloat32) == ncclFloat32);

// The same but for the names of types: parameter by parameter of one size, and the same count.
template <class... Ours, class... Theirs>
constexpr bool SameShape(NcclResult (*)(Ours...), ncclResult_t (*)(Theirs...)) {
  if constexpr (sizeof...(Ours) != sizeof...(Theirs)) {
    return false;
  } else {
    return ((sizeof(Ours) == sizeof(Theirs) && std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>)&&...);
  }
}
#define EXPECT_SHAPE(call)                                                                                 \
  static_assert(                                                                                           \
      std::is_same_v<decltype(SameShape(std::declval<decltype(NcclCalls::call)>(), &nccl##call)), bool> && \
      SameShape(static_cast<decltype(NcclCalls::call)>(nullptr),                                           \
                static_cast<decltype(&nccl##call)>(nullptr)))
EXPECT_SHAPE(GetVersion);
EXPECT_SHAPE(GetUniqueId);
EXPECT_SHAPE(CommInitRankConfig);
EXPECT_SHAPE(CommFinalize);
EXPECT_SHAPE(CommDestroy);
EXPECT_SHAPE(CommAbort);
EXPECT_SHAPE(CommGetAsyncError);
EXPECT_SHAPE(GroupStart);
EXPECT_SHAPE(GroupEnd);
EXPECT_SHAPE(Send);
EXPECT_SHAPE(Recv);

TEST(NcclApiTest, TheInstalledLibraryHasEveryCall) {
  const absl::StatusOr<const NcclCalls*> nccl = LoadNccl();
  if (!nccl.ok()) GTEST_SKIP() << nccl.status();
  int version = 0;
  ASSERT_EQ((*nccl)->GetVersion(&version), NcclResult::kSuccess);
  EXPECT_GE(version, kOldestNccl);
}

// NCCL looks at its environment once in a process.
TEST(NcclApiDeathTest, AnInterfaceThatIsNotThereIsNamedAsTheCause) {
  if (!LoadNccl().ok()) GTEST_SKIP() << LoadNccl().status();
  const auto ask = [] {
    setenv("NCCL_SOCKET_IFNAME", "nosuch0", 1);
    const NcclCalls& nccl = **LoadNccl();
    NcclUniqueId id;
    const NcclResult result = nccl.GetUniqueId(&id);
    const absl::Status status = ExplainNccl(nccl, "rank 0", "ncclGetUniqueId", result, nullptr);
    std::fprintf(stderr, "%d %s\n", static_cast<int>(result), status.ToString().c_str());
    std::_Exit(result == NcclResult::kSuccess ? 1 : 0);
  };
  EXPECT_EXIT(ask(), testing::ExitedWithCode(0),
              "FAILED_PRECONDITION: rank 0: ncclGetUniqueId: .*interface not found.*NCCL_SOCKET_IFNAME");
}

TEST(NcclApiTest, AFileThatIsNoLibraryIsAnErrorThatSaysWhatToInstall) {
  const absl::Status status = LoadNcclFrom("/dev/null").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "libnccl2")) << status;
  const absl::Status other = LoadNcclFrom("libm.so.6").status();
  EXPECT_TRUE(absl::StrContains(other.message(), "ncclGetVersion")) << other;
}

}  // namespace
}  // namespace lockstep
