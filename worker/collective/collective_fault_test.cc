// A peer that dies, hangs up or aborts, while the others are inside a call.
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "worker/collective/collective.h"
#include "worker/collective/forked_ranks.h"

namespace lockstep {
namespace {

constexpr double kNoticedWithin = 0.1;

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

absl::StatusOr<std::unique_ptr<Collective>> Make(int rank, int world, size_t n,
                                                 const ExchangeAddresses& exchange, bool spin = false) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = options.shards = world;
  options.n = n;
  options.spin = spin;
  return MakeCollective(options, exchange);
}

// Sums until an error; counts the calls done.
absl::Status SumForEver(Collective& collective, size_t n, int counter) {
  std::vector<float> sums(n, 1.0f), out(n);
  for (;;) {
    RETURN_IF_ERROR(collective.OrderedSum(sums.data(), out.data()));
    ForkedRanks::Add(counter, 1);
  }
}

struct Case {
  int world;
  size_t n;
  bool spin;
};
class KilledPeerTest : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Worlds, KilledPeerTest,
                         testing::Values(Case{2, 17'248, false}, Case{2, 17'248, true},
                                         Case{2, 3'000'000, false}, Case{3, 1, false}, Case{4, 17'248, false},
                                         Case{4, 3'000'000, false}, Case{5, 100'000, false}));

TEST_P(KilledPeerTest, AKilledPeerIsNamedByEverySurvivorWithin100Milliseconds) {
  const auto [world, n, spin] = GetParam();
  for (const int victim : {0, world - 1}) {
    ForkedRanks ranks(
        world,
        [&, n = n, world = world, spin = spin](int rank, const ExchangeAddresses& exchange) -> absl::Status {
          ASSIGN_OR_RETURN(const auto collective, Make(rank, world, n, exchange, spin));
          return SumForEver(*collective, n, rank);
        });
    for (int rank = 0; rank < world; ++rank) ForkedRanks::AwaitAtLeast(rank, 3);
    const double killed_at = Now();
    kill(ranks.pid(victim), SIGKILL);
    EXPECT_EQ(ranks.Wait(victim).message(), "signal 9");
    for (int rank = 0; rank < world; ++rank) {
      if (rank == victim) continue;
      const absl::Status status = ranks.Wait(rank);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("lost rank ", victim))) << status;
      EXPECT_LT(ranks.EndedAt(rank) - killed_at, kNoticedWithin) << "rank " << rank;
    }
  }
}

TEST(CollectiveFaultTest, AKilledPeerIsNoticedByThoseThatWaitForAnother) {
  // Rank 0 waits for rank 1 alone (a broadcast), rank 1 for rank 2, which dies.
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 3, 1, exchange));
    char byte = 0;
    ForkedRanks::Add(0, 1);
    if (rank == 0) return collective->Broadcast(&byte, 1, 1);
    if (rank == 1) return collective->Broadcast(&byte, 1, 2);
    for (;;) pause();
  });
  ForkedRanks::AwaitAtLeast(0, 3);
  const double killed_at = Now();
  kill(ranks.pid(2), SIGKILL);
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_TRUE(absl::StrContains(status.message(), "lost rank 2")) << status;
    EXPECT_LT(ranks.EndedAt(rank) - killed_at, kNoticedWithin);
  }
}

class AbortTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Spin, AbortTest, testing::Bool());

TEST_P(AbortTest, AbortFromAnotherThreadWakesABlockedCallAndThePeers) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 3, 1000, exchange, GetParam()));
    ForkedRanks::Add(0, 1);
    if (rank == 2) {
      ForkedRanks::AwaitAtLeast(1, 1);  // never sums: the others block until rank 0 aborts
      ForkedRanks::AwaitAtLeast(2, 2);
      return absl::OkStatus();
    }
    std::vector<float> sums(1000), out(1000);
    std::thread aborter;
    if (rank == 0) {
      aborter = std::thread([&] {
        ForkedRanks::AwaitAtLeast(0, 3);
        ForkedRanks::Add(1, 1);
        collective->Abort();
      });
    }
    const absl::Status status = collective->OrderedSum(sums.data(), out.data());
    if (aborter.joinable()) aborter.join();
    ForkedRanks::Add(2, 1);
    // Dead from now on.
    const absl::Status again = collective->AllGather(nullptr, 0, nullptr);
    if (again.ok()) return absl::InternalError("a dead collective works");
    return status;
  });
  EXPECT_EQ(ranks.Wait(0).code(), absl::StatusCode::kAborted);
  const absl::Status other = ranks.Wait(1);
  EXPECT_EQ(other.code(), absl::StatusCode::kUnavailable) << other;
  EXPECT_TRUE(absl::StrContains(other.message(), "lost rank 0")) << other;
  EXPECT_TRUE(ranks.Wait(2).ok());
}

TEST(CollectiveFaultTest, AbortOfALoneRankIsSeenByLaterCalls) {
  const auto collective = Make(0, 1, 1, nullptr);
  ASSERT_TRUE(collective.ok());
  float value = 1;
  EXPECT_TRUE((*collective)->OrderedSum(&value, &value).ok());
  (*collective)->Abort();
  EXPECT_EQ((*collective)->OrderedSum(&value, &value).code(), absl::StatusCode::kAborted);
}

TEST(CollectiveFaultTest, ARankThatLeavesInPeaceIsAnErrorToThoseThatStillCall) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 2, 10, exchange));
    if (rank == 1) return absl::OkStatus();
    return SumForEver(*collective, 10, 0);
  });
  EXPECT_TRUE(ranks.Wait(1).ok());
  EXPECT_EQ(ranks.Wait(0).code(), absl::StatusCode::kUnavailable);
}

TEST(CollectiveFaultTest, RanksThatLeaveEarlyDoNotDisturbTheLastCallOfTheOthers) {
  for (int round = 0; round < 20; ++round) {
    ForkedRanks ranks(4, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      ASSIGN_OR_RETURN(const auto collective, Make(rank, 4, 50'000, exchange));
      std::vector<float> sums(50'000, 1.0f), out(50'000);
      return collective->OrderedSum(sums.data(), out.data());
    });
    const absl::Status status = ranks.WaitAll();
    ASSERT_TRUE(status.ok()) << round << ": " << status;
  }
}

TEST(CollectiveFaultTest, APeerThatLeftInPeaceIsNotMissedByThoseThatDoNotNeedIt) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(auto collective, Make(rank, 3, 1, exchange));
    char byte = static_cast<char>(rank);
    RETURN_IF_ERROR(collective->Broadcast(&byte, 1, 2));
    if (rank == 2) {
      collective.reset();
      ForkedRanks::Add(0, 1);
      return absl::OkStatus();
    }
    ForkedRanks::AwaitAtLeast(0, 1);
    if (rank == 1) {
      byte = 0;
      RETURN_IF_ERROR(collective->Broadcast(&byte, 1, 0));
      return byte == 7 ? absl::OkStatus() : absl::InternalError("wrong byte");
    }
    byte = 7;  // goes to 1 first, then to 2, which is gone: an error here is right
    collective->Broadcast(&byte, 1, 0).IgnoreError();
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CollectiveFaultTest, APeerThatDiedBeforeConnectingIsAnErrorAndNamed) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    if (rank == 0) {
      CollectiveOptions options;
      options.world = options.shards = 2;
      options.n = 10;
      options.connect_timeout = absl::Milliseconds(300);
      return MakeCollective(options, exchange).status();
    }
    const absl::Status status = Make(rank, 2, 10, [&](const std::string& mine) {
                                  auto all = exchange(mine);
                                  raise(SIGKILL);
                                  return all;
                                }).status();
    return status;
  });
  const absl::Status status = ranks.Wait(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "rank 1")) << status;
}

}  // namespace
}  // namespace lockstep
