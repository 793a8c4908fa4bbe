#include "coordinator/jobs/job_id.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(JobIdTest, IdsOfOneMillisecondSortByTheirMaking) {
  JobIds ids("");
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::string last;
  for (int i = 0; i < 10'000; ++i) {
    const std::string id = ids.Next(now);
    ASSERT_EQ(id.size(), 14u);
    ASSERT_GT(id, last);
    last = id;
  }
}

TEST(JobIdTest, LaterIdsSortLater) {
  JobIds ids("");
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const std::string first = ids.Next(now);
  EXPECT_LT(first, ids.Next(now + absl::Milliseconds(1)));
}

TEST(JobIdTest, AClockSetBackDoesNotTurnTheOrderRound) {
  JobIds ids("");
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const std::string first = ids.Next(now);
  EXPECT_LT(first, ids.Next(now - absl::Hours(1)));
  JobIds restarted(first);
  EXPECT_LT(first, restarted.Next(now - absl::Hours(1)));
}

TEST(JobIdTest, IdsAreSafeInPaths) {
  JobIds ids("");
  EXPECT_EQ(ids.Next(absl::FromUnixSeconds(1)).find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz"),
            std::string::npos);
}

}  // namespace
}  // namespace lockstep
