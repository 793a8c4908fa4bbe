// The emulation itself: what is wrong is reported with its place, what is right is not.
#include <gtest/gtest.h>

#include "kernels/cuda/device_for_test.h"
#include "kernels/cuda/runtime.h"
#include "kernels/emulation/run.h"
#include "kernels/emulation/wrong_kernels.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::emulation {
namespace {

struct Ran {
  bool ok;
  std::string error;
  std::vector<float> out;
  int counter;
};

Ran RunOnce(Case which) {
  const OnDevice<float> data(Random(256, -1, 1, 1)), out(256);
  const OnDevice<int> counter(std::vector<int>{0});
  const Launched launched = RunCase(which, data.get(), out.get(), counter.get());
  return {launched.ok(), Error(), out.Fetch(), counter.Fetch()[0]};
}

TEST(Emulation, RightKernelIsReportedOrGivesTheWrongResult) {
  const std::vector<float> data = Random(256, -1, 1, 1);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SetOrder(seed);
    for (int which = 0; which <= static_cast<int>(Case::kPartialMask); ++which) {
      const Ran ran = RunOnce(static_cast<Case>(which));
      EXPECT_TRUE(ran.ok) << which << ": " << ran.error;
      if (which == static_cast<int>(Case::kAtomicCount)) {
        EXPECT_EQ(ran.counter, 128);
        continue;
      }
      for (int i = 0; i < 128; ++i) {
        const int block = i / 64 * 64, t = i % 64;
        float expected = 0;
        switch (static_cast<Case>(which)) {
          case Case::kReverse:
            expected = data[block + 63 - t];
            break;
          case Case::kDynamicShared:
            expected = data[i ^ 1];
            break;
          case Case::kCountedBarrier:
            expected = 32 + 1 + 0;
            break;
          case Case::kPartialMask:
            expected = i % 32 < 16 ? data[i] + data[i ^ 8] : data[i];
            break;
          default:
            for (int j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) expected += data[j];
        }
        ASSERT_NEAR(ran.out[i], expected, 1e-5) << which << " at " << i;
      }
    }
  }
}

struct Wrong {
  Case which;
  const char* kernel;
  const char* thread;  // "5", or "" where it depends on the order
  const char* what;
};

TEST(Emulation, WrongKernelIsNotReportedWithItsPlace) {
  const Wrong cases[] = {
      {Case::kNoBarrier, "ReverseKernel<false, false>", "", "of shared array values"},
      {Case::kNoBarrierBeforeReuse, "ReverseKernel<true, true>", "",
       "byte 252 of shared array values, which thread"},
      {Case::kShuffleIsNoBarrier, "WarpKernel<false>", "", "of shared array values"},
      {Case::kSyncOfOtherWarp, "OtherWarpKernel", "", "of shared array values"},
      {Case::kBlocksRace, "SameWordKernel", "5", "writes byte 0 of a device buffer, which thread 5 of block"},
      {Case::kAtomicAndPlain, "CountKernel<true>", "", "byte 0 of a device buffer, which thread"},
      {Case::kDivergentBarrier, "BranchKernel<false>", "5", "ends without reaching the barrier in line"},
      {Case::kOtherBarrier, "BranchKernel<true>", "", "waits at that in line"},
      {Case::kReadPastEnd, "IndexKernel<false>", "5",
       "reads 4 bytes at byte 1024 of a device buffer of 1024 bytes"},
      {Case::kWritePastEnd, "IndexKernel<true>", "5",
       "writes 4 bytes at byte 1024 of a device buffer of 1024 bytes"},
      {Case::kWriteBeforeStart, "IndexKernel<true>", "5", "writes 4 bytes at byte -4 of a device buffer"},
      {Case::kReadPastShared, "SharedIndexKernel<false>", "5",
       "reads 4 bytes at byte 256 of shared array values of 256 bytes"},
      {Case::kWritePastShared, "SharedIndexKernel<true>", "5",
       "writes 4 bytes at byte 268 of shared array values"},
      {Case::kWritePastDynamic, "DynamicKernel", "5", "writes 4 bytes at byte 276 of dynamic shared memory"},
      {Case::kUninitialisedShared, "UnwrittenSharedKernel", "5",
       "reads byte 20 of shared array values, which nobody has written"},
      {Case::kUninitialisedGlobal, "CopyKernel", "", "of a device buffer, which nobody has written"},
      {Case::kSharedOfBlockBefore, "UnwrittenSharedKernel", "",
       "of shared array values, which nobody has written"},
      {Case::kHostMemory, "CopyKernel", "", "reads 4 bytes of memory that is not the device's"},
      {Case::kInactiveLane, "ShuffleKernel", "", "from lane 20, which takes no part: the mask is 0x0000ffff"},
      {Case::kLaneThatIsNotThere, "ShuffleKernel", "", "for lane 8, which its block does not have"},
      {Case::kLaneThatEnded, "ShuffleKernel", "60", "ends without reaching the warp's operation"},
      {Case::kOtherMask, "TwoMasksKernel", "", "with the mask 0x"},
      {Case::kMisaligned, "VectorKernel", "", "which is not a multiple of 16"},
      {Case::kTooManyThreads, "CopyKernel", "", "1025 threads a block"},
      {Case::kTooMuchShared, "CopyKernel", "", "204800 bytes of dynamic shared memory"},
  };
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SetOrder(seed);
    for (const Wrong& wrong : cases) {
      const Ran ran = RunOnce(wrong.which);
      const std::string place = "kernel " + std::string(wrong.kernel) + ", block (";
      EXPECT_FALSE(ran.ok) << wrong.what;
      EXPECT_EQ(ran.error.find(place), 0u) << ran.error;
      EXPECT_NE(ran.error.find(std::string(", 0, 0), thread ") + wrong.thread), std::string::npos)
          << ran.error;
      EXPECT_NE(ran.error.find(wrong.what), std::string::npos) << ran.error;
    }
  }
}

TEST(Emulation, ErrorOutlivesItsLaunch) {
  EXPECT_FALSE(RunOnce(Case::kNoBarrier).ok);
  EXPECT_TRUE(RunOnce(Case::kReverse).ok);
}

TEST(Emulation, ErrorOfAReplayedKernelNamesAnotherPlaceOrComesInTheCapture) {
  const DeviceStream stream = *DeviceStream::Make(0);
  const OnDevice<float> data(Random(256, -1, 1, 1)), out(256);
  const OnDevice<int> counter(std::vector<int>{0});
  const auto graph = DeviceGraph::Capture(
      stream, [&] { return ToStatus(RunCase(Case::kReadPastEnd, data.get(), out.get(), counter.get())); });
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (int time = 0; time < 2; ++time) {
    const absl::Status status = graph->Launch(stream);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    const std::string direct =
        ToStatus(RunCase(Case::kReadPastEnd, data.get(), out.get(), counter.get())).ToString();
    const std::string kernel = direct.substr(0, direct.find(", block"));  // threads come in any order
    EXPECT_EQ(status.ToString().substr(0, kernel.size()), kernel);
    EXPECT_NE(kernel.find(": kernel "), std::string::npos) << kernel;
  }
}

}  // namespace
}  // namespace lockstep::kernels::emulation
