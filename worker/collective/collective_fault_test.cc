// A peer that dies, hangs up or aborts, while the others are inside a call.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "worker/collective/contract_for_test.h"
#include "worker/collective/forked_ranks.h"

namespace lockstep {
namespace {

// The system tells of a death; nobody waits for a timeout. How soon they hear is measured by bench/recovery.
constexpr double kBeforeAnyTimeout = 10;

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

absl::StatusOr<std::unique_ptr<Collective>> Make(Kind kind, int rank, int world, size_t n,
                                                 const ExchangeAddresses& exchange, bool spin = false) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = options.shards = world;
  options.n = n;
  options.spin = spin;
  return MakeForTest(kind, options, exchange);
}

// Sums until an error; counts the calls done.
absl::Status SumForEver(Kind kind, Collective& collective, size_t n, int counter) {
  Buffer<float> sums(kind, n, 1.0f), out(kind, n);
  for (;;) {
    RETURN_IF_ERROR(collective.OrderedSum(sums.data(), out.data()));
    ForkedRanks::Add(counter, 1);
  }
}

class KindFaultTest : public testing::TestWithParam<Kind> {
 protected:
  const Kind kind = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Kinds, KindFaultTest, testing::Values(Kind::kGloo, Kind::kNccl),
                         [](const auto& test) { return NameOf(test.param); });

struct Case {
  int world;
  size_t n;
  bool spin;
};
class KilledPeerTest : public testing::TestWithParam<std::tuple<Kind, Case>> {};
std::string CaseName(const testing::TestParamInfo<std::tuple<Kind, Case>>& test) {
  const Case& each = std::get<1>(test.param);
  return absl::StrCat(NameOf(std::get<0>(test.param)), each.world, "With", each.n,
                      each.spin ? "Spinning" : "");
}
INSTANTIATE_TEST_SUITE_P(Worlds, KilledPeerTest,
                         testing::Combine(testing::Values(Kind::kGloo),
                                          testing::Values(Case{2, 17'248, false}, Case{2, 17'248, true},
                                                          Case{2, 3'000'000, false}, Case{3, 1, false},
                                                          Case{4, 17'248, false}, Case{4, 3'000'000, false},
                                                          Case{5, 100'000, false})),
                         CaseName);
// The stand-in adds on the processor what a GPU would, so with fewer floats.
INSTANTIATE_TEST_SUITE_P(OnDevices, KilledPeerTest,
                         testing::Combine(testing::Values(Kind::kNccl),
                                          testing::Values(Case{2, 17'248, false}, Case{2, 17'248, true},
                                                          Case{2, 300'000, false}, Case{3, 1, false},
                                                          Case{4, 17'248, false}, Case{4, 100'000, false},
                                                          Case{5, 100'000, false})),
                         CaseName);

TEST_P(KilledPeerTest, AKilledPeerIsNamedByEverySurvivor) {
  const Kind kind = std::get<0>(GetParam());
  const auto [world, n, spin] = std::get<1>(GetParam());
  for (const int victim : {0, world - 1}) {
    ForkedRanks ranks(
        world,
        [&, n = n, world = world, spin = spin](int rank, const ExchangeAddresses& exchange) -> absl::Status {
          ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, n, exchange, spin));
          return SumForEver(kind, *collective, n, rank);
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
      EXPECT_LT(ranks.EndedAt(rank) - killed_at, kBeforeAnyTimeout) << "rank " << rank;
    }
  }
}

TEST_P(KindFaultTest, AKilledPeerIsNoticedByThoseThatWaitForAnother) {
  // Rank 0 waits for rank 1 alone (a broadcast), rank 1 for rank 2, which dies.
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 1, exchange));
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
    EXPECT_LT(ranks.EndedAt(rank) - killed_at, kBeforeAnyTimeout);
  }
}

TEST_P(KindFaultTest, WhoWaitsForAStoppedRankTellsItWhomItLost) {
  // Rank 2 waits for rank 1, which is stopped while rank 0 dies. When rank 1 goes on both are gone, and its
  // first call meets rank 2: only rank 2's word says that rank 0 is the one that died.
  for (int round = 0; round < 10; ++round) {
    ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 1, exchange));
      char byte = 0;
      ForkedRanks::Add(0, 1);
      if (rank == 0) pause();
      if (rank == 1) raise(SIGSTOP);
      for (;;) RETURN_IF_ERROR(collective->Transfer(&byte, 1, 1, {2}));
    });
    ForkedRanks::AwaitAtLeast(0, 3);
    ASSERT_EQ(waitpid(ranks.pid(1), nullptr, WUNTRACED), ranks.pid(1));
    kill(ranks.pid(0), SIGKILL);
    EXPECT_EQ(ranks.Wait(0).message(), "signal 9");
    const absl::Status waited = ranks.Wait(2);
    EXPECT_TRUE(absl::StrContains(waited.message(), "lost rank 0")) << waited;
    kill(ranks.pid(1), SIGCONT);
    const absl::Status stopped = ranks.Wait(1);
    EXPECT_TRUE(absl::StrContains(stopped.message(), "lost rank 0")) << stopped;
  }
}

// Whoever dies in a transfer from 0 to 1 and 2, which is large enough to be under way, is named by the
// others.
class TransferFaultTest : public testing::TestWithParam<std::tuple<Kind, int>> {};
INSTANTIATE_TEST_SUITE_P(Victims, TransferFaultTest,
                         testing::Combine(testing::Values(Kind::kGloo, Kind::kNccl), testing::Range(0, 3)));

TEST_P(TransferFaultTest, WhoDiesIsNamedByTheOthers) {
  const Kind kind = std::get<0>(GetParam());
  const int victim = std::get<1>(GetParam());
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 1, exchange));
    Buffer<char> data(kind, 10'000'000, static_cast<char>(rank));
    for (;;) {
      RETURN_IF_ERROR(collective->Transfer(data.data(), data.size(), 0, {1, 2}));
      if (data[data.size() - 1] != 0) return absl::InternalError("wrong bytes");
      ForkedRanks::Add(rank, 1);
    }
  });
  for (int rank = 0; rank < 3; ++rank) ForkedRanks::AwaitAtLeast(rank, 3);
  const double killed_at = Now();
  kill(ranks.pid(victim), SIGKILL);
  for (int rank = 0; rank < 3; ++rank) {
    if (rank == victim) continue;
    const absl::Status status = ranks.Wait(rank);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("lost rank ", victim))) << status;
    EXPECT_LT(ranks.EndedAt(rank) - killed_at, kBeforeAnyTimeout) << "rank " << rank;
  }
}

class AbortTest : public testing::TestWithParam<std::tuple<Kind, bool>> {};
INSTANTIATE_TEST_SUITE_P(Spin, AbortTest,
                         testing::Combine(testing::Values(Kind::kGloo, Kind::kNccl), testing::Bool()));

TEST_P(AbortTest, AbortFromAnotherThreadWakesABlockedCallAndThePeers) {
  const Kind kind = std::get<0>(GetParam());
  const bool spin = std::get<1>(GetParam());
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 1000, exchange, spin));
    ForkedRanks::Add(0, 1);
    if (rank == 2) {
      ForkedRanks::AwaitAtLeast(1, 1);  // never sums: the others block until rank 0 aborts
      ForkedRanks::AwaitAtLeast(2, 2);
      return absl::OkStatus();
    }
    Buffer<float> sums(kind, 1000), out(kind, 1000);
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

TEST_P(KindFaultTest, AbortOfALoneRankIsSeenByLaterCalls) {
  const auto collective = Make(kind, 0, 1, 1, nullptr);
  ASSERT_TRUE(collective.ok());
  float value = 1;
  EXPECT_TRUE((*collective)->OrderedSum(&value, &value).ok());
  (*collective)->Abort();
  EXPECT_EQ((*collective)->OrderedSum(&value, &value).code(), absl::StatusCode::kAborted);
}

TEST_P(KindFaultTest, ARankThatLeavesInPeaceIsAnErrorToThoseThatStillCall) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 2, 10, exchange));
    if (rank == 1) return absl::OkStatus();
    return SumForEver(kind, *collective, 10, 0);
  });
  EXPECT_TRUE(ranks.Wait(1).ok());
  EXPECT_EQ(ranks.Wait(0).code(), absl::StatusCode::kUnavailable);
}

TEST_P(KindFaultTest, RanksThatLeaveEarlyDoNotDisturbTheLastCallOfTheOthers) {
  for (int round = 0; round < 20; ++round) {
    ForkedRanks ranks(4, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 4, 50'000, exchange));
      Buffer<float> sums(kind, 50'000, 1.0f), out(kind, 50'000);
      return collective->OrderedSum(sums.data(), out.data());
    });
    const absl::Status status = ranks.WaitAll();
    ASSERT_TRUE(status.ok()) << round << ": " << status;
  }
}

TEST_P(KindFaultTest, APeerThatLeftInPeaceIsNotMissedByThoseThatDoNotNeedIt) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(auto collective, Make(kind, rank, 3, 1, exchange));
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

TEST_P(KindFaultTest, APeerThatDiedBeforeConnectingIsAnErrorAndNamed) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    if (rank == 0) {
      CollectiveOptions options;
      options.world = options.shards = 2;
      options.n = 10;
      options.connect_timeout = absl::Milliseconds(300);
      return MakeForTest(kind, options, exchange).status();
    }
    const absl::Status status = Make(kind, rank, 2, 10, [&](const std::string& mine) {
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
