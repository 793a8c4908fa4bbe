#include "coordinator/scheduler/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace lockstep::turns_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Turns::Room Everywhere(int room) {
  return [room](const std::string&) { return room; };
}

TEST(TurnsTest, NamespacesShareOneOrderOfTurns) {
  Turns turns;
  turns.Add("a", 0, "1");
  turns.Add("b", 0, "2");
  turns.Add("a", 0, "3");
  turns.Add("b", 5, "4");
  EXPECT_THAT(turns.Take(10, Everywhere(Turns::kNoQuota)), ElementsAre("4", "1", "2", "3"));
  EXPECT_THAT(turns.Take(2, Everywhere(Turns::kNoQuota)), ElementsAre("4", "1"));
}

TEST(TurnsTest, WhoWasRemovedIsNotTaken) {
  Turns turns;
  EXPECT_TRUE(turns.empty());
  for (const char* id : {"1", "2", "3"}) turns.Add("a", 0, id);
  turns.Add("a", 0, "2");
  turns.Remove("a", 0, "1");
  turns.Remove("a", 0, "1");
  turns.Remove("nowhere", 0, "3");
  EXPECT_THAT(turns.Take(10, Everywhere(Turns::kNoQuota)), ElementsAre("2", "3"));
  turns.Remove("a", 0, "2");
  turns.Remove("a", 0, "3");
  EXPECT_TRUE(turns.empty());
  EXPECT_THAT(turns.Take(10, Everywhere(Turns::kNoQuota)), IsEmpty());
}

TEST(TurnsTest, ANamespaceWithoutRoomAtTheHeadHidesNobody) {
  Turns turns;
  for (int i = 0; i < 1'000; ++i) turns.Add("full", 0, absl::StrCat("a", i));
  turns.Add("other", 0, "z");
  const auto room = [](const std::string& space) { return space == "full" ? 0 : Turns::kNoQuota; };
  const auto taken = turns.Take(4, room);
  EXPECT_THAT(taken, ::testing::Contains("z"));
  EXPECT_EQ(taken.size(), 5u) << "four of those that wait are told why";
}

TEST(TurnsTest, ANamespaceWithSomeRoomGivesNoMoreThanCouldStart) {
  Turns turns;
  for (int i = 100; i < 200; ++i) turns.Add("a", 0, absl::StrCat(i));
  turns.Add("b", 0, "900");
  const auto room = [](const std::string& space) { return space == "a" ? 3 : Turns::kNoQuota; };
  const auto taken = turns.Take(256, room);
  EXPECT_EQ(taken.size(), 3u + Turns::kExplained + 1);
  EXPECT_EQ(taken.back(), "900");
}

TEST(TurnsTest, APassLooksAtFewOfFifteenThousandJobs) {
  Turns turns;
  for (int i = 0; i < 15'000; ++i) turns.Add(absl::StrCat("team-", i % 1'000), 0, absl::StrCat(100'000 + i));
  EXPECT_EQ(turns.Take(256, Everywhere(2)).size(), 256u);
  EXPECT_EQ(turns.Take(256, Everywhere(0)).size(), 256u) << "all of them wait, 256 are told why";
  EXPECT_EQ(turns.Take(256, Everywhere(2)).front(), "100000");
}

}  // namespace
}  // namespace lockstep::turns_test
