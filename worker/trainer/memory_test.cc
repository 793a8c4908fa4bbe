#include "worker/trainer/memory.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMegabyte = 1000000;

MemoryNeed Need(int64_t activations, int64_t state, int64_t resident) {
  return {64, activations * kMegabyte, state * kMegabyte, resident * kMegabyte};
}

TEST(AvailableMemory, IsLessThanWhatTheProcessorCanAddress) {
  EXPECT_GT(AvailableMemory(), 0);
  EXPECT_LT(AvailableMemory(), int64_t{1} << 48);
}

TEST(CheckFits, CountsActivationsAndStateThatIsNotWrittenYet) {
  EXPECT_TRUE(CheckFits(Need(60, 40, 0), 100 * kMegabyte).ok());
  EXPECT_EQ(CheckFits(Need(60, 41, 0), 100 * kMegabyte).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(CheckFits(Need(60, 50, 10), 100 * kMegabyte).ok());
}

TEST(CheckFits, SaysWhatTakesTheMemoryAndWhatToChange) {
  EXPECT_THAT(CheckFits(Need(900, 200, 100), 500 * kMegabyte).message(),
              AllOf(HasSubstr("500 MB of memory left"), HasSubstr("still takes 1000 MB"),
                    HasSubstr("activations of 64 rows 900 MB"), HasSubstr("train.accumulation")));
  EXPECT_THAT(CheckFits(Need(100, 900, 0), 500 * kMegabyte).message(), HasSubstr("a smaller model"));
}

}  // namespace
}  // namespace lockstep
