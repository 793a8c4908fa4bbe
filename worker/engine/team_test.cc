#include "worker/engine/team.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep::engine {
namespace {

TEST(Team, ShareIsMissedOrTakenTwice) {
  for (const int size : {1, 2, 3, 5}) {
    Team team(size);
    for (const int n : {0, 1, 16, 17, 100}) {
      for (const int grain : {1, 16}) {
        std::vector<int> taken(n, 0);
        team.Run([&](const Member& member) {
          const Range share = member.Share(n, grain);
          if (!share.empty()) {
            EXPECT_EQ(share.begin % grain, 0);
          }
          for (int64_t i = share.begin; i < share.end; ++i) ++taken[i];
        });
        EXPECT_EQ(taken, std::vector<int>(n, 1)) << size << " members, " << n;
      }
    }
  }
}

TEST(Team, AloneTheCallerTakesAllTheOthersShares) {
  Team team(3);
  for (const bool alone : {false, true, false, true}) {
    team.SetAlone(alone);
    std::vector<int> taken(100, 0), members(3, 0);
    team.Run([&](const Member& member) {
      ++members[member.index];
      const Range share = member.Share(100);
      for (int64_t i = share.begin; i < share.end; ++i) ++taken[i];
      member.Barrier();
    });
    EXPECT_EQ(taken, std::vector<int>(100, 1));
    EXPECT_EQ(members, alone ? (std::vector<int>{1, 0, 0}) : (std::vector<int>{1, 1, 1}));
  }
}

TEST(Team, MemberPassesTheBarrierBeforeTheOthersArrive) {
  Team team(3);
  std::vector<int> step(3, 0);
  team.Run([&](const Member& member) {
    for (int round = 1; round <= 200; ++round) {
      step[member.index] = round;
      member.Barrier();
      for (const int other : step) EXPECT_EQ(other, round);
      member.Barrier();
    }
  });
}

}  // namespace
}  // namespace lockstep::engine
