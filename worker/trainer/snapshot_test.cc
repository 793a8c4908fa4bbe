#include "worker/trainer/snapshot.h"

#include <unistd.h>

#include <fstream>
#include <numeric>

#include "gtest/gtest.h"

namespace lockstep {
namespace {

// The sanitizers take memory of their own for each page that is touched.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
size_t ResidentBytes() {
  size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(Snapshot, PagesOfItsRoomAreStillToBeFoundAfterTouch) {
  const std::vector<float> state(size_t{16} << 20, 1.0f);
  const size_t bytes = state.size() * sizeof(float);
  Snapshot snapshot;
  snapshot.Add({state});
  const size_t added = ResidentBytes();
  snapshot.Touch();
  const size_t touched = ResidentBytes();
  snapshot.Copy();
  EXPECT_GT(touched, added + bytes * 9 / 10);
  EXPECT_LT(ResidentBytes(), touched + bytes / 10);
}
#endif

TEST(Snapshot, TouchedRoomDoesNotHoldWhatWasCopied) {
  std::vector<float> first(3000), second(5);
  std::iota(first.begin(), first.end(), 1.0f);
  std::iota(second.begin(), second.end(), -5.0f);
  Snapshot snapshot;
  snapshot.Add({first, second});
  snapshot.Touch();
  snapshot.Copy();
  ASSERT_EQ(snapshot.first().size(), 3005u);
  EXPECT_EQ(snapshot.first()[0], 1.0f);
  EXPECT_EQ(snapshot.first()[2999], 3000.0f);
  EXPECT_EQ(snapshot.first()[3004], -1.0f);
}

}  // namespace
}  // namespace lockstep
