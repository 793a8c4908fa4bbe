#include "worker/trainer/replicas.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

bool Agree(const std::vector<uint64_t>& hashes) {
  std::vector<float> sums(kReplicaFlags);
  for (const uint64_t hash : hashes) {
    float flags[kReplicaFlags];
    PutReplicaHash(hash, flags);
    for (int i = 0; i < kReplicaFlags; ++i) sums[i] += flags[i];
  }
  return ReplicasAgree(sums.data(), static_cast<int>(hashes.size()));
}

TEST(ReplicasTest, EqualHashesAgreeOnAnyNumberOfRanks) {
  std::mt19937_64 random(1);
  for (const int world : {1, 2, 3, 4, 7, 255, kMostComparedRanks}) {
    EXPECT_TRUE(Agree(std::vector<uint64_t>(world, random())));
    EXPECT_TRUE(Agree(std::vector<uint64_t>(world, ~uint64_t{0})));
    EXPECT_TRUE(Agree(std::vector<uint64_t>(world, 0)));
  }
}

TEST(ReplicasTest, ASingleBitOfOneRankIsSeen) {
  std::mt19937_64 random(1);
  for (const int world : {2, 3, 4, 7, kMostComparedRanks}) {
    for (int bit = 0; bit < 64; ++bit) {
      std::vector<uint64_t> hashes(world, random());
      hashes[random() % hashes.size()] ^= uint64_t{1} << bit;
      EXPECT_FALSE(Agree(hashes)) << "bit " << bit << " of one of " << world;
    }
  }
}

TEST(ReplicasTest, ChangesThatKeepTheSumAreSeen) {
  EXPECT_FALSE(Agree({10, 20, 15}));  // the third rank's is the mean
  EXPECT_FALSE(Agree({0, 255, 0, 255}));
}

TEST(ReplicasTest, TheOddOnesAreThoseThatTheMajorityIsNot) {
  EXPECT_THAT(*OddRanks(std::vector<uint64_t>{5, 5, 6}), ElementsAre(2));
  EXPECT_THAT(*OddRanks(std::vector<uint64_t>{7, 5, 5, 6, 5}), ElementsAre(0, 3));
  EXPECT_THAT(*OddRanks(std::vector<uint64_t>{5, 5}), IsEmpty());
  EXPECT_FALSE(OddRanks(std::vector<uint64_t>{5, 6}).has_value());
  EXPECT_FALSE(OddRanks(std::vector<uint64_t>{5, 5, 6, 6}).has_value());
}

}  // namespace
}  // namespace lockstep
