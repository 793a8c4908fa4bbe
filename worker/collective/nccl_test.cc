// What the collective over NCCL has beyond the contract, over the stand-in.
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "worker/collective/contract_for_test.h"
#include "worker/collective/forked_ranks.h"

namespace lockstep {
namespace {

CollectiveOptions Options(int rank, int world, size_t n) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = options.shards = world;
  options.n = n;
  return options;
}

absl::StatusOr<std::unique_ptr<Collective>> Make(int rank, int world, size_t n,
                                                 const ExchangeAddresses& exchange) {
  return MakeForTest(Kind::kNccl, Options(rank, world, n), exchange);
}

absl::Status SumOnes(Collective& collective, size_t n) {
  Buffer<float> sums(Kind::kNccl, n, 1.0f);
  RETURN_IF_ERROR(collective.OrderedSum(sums.data(), sums.data()));
  for (size_t i = 0; i < n; ++i) {
    if (sums[i] != static_cast<float>(collective.world())) return absl::InternalError("wrong sum");
  }
  return absl::OkStatus();
}

TEST(NcclTest, AGenerationIsRebuiltAfterAnAbortWithAFreshId) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(auto first, Make(rank, 3, 1000, exchange));
    RETURN_IF_ERROR(SumOnes(*first, 1000));
    ForkedRanks::Add(0, 1);
    if (rank == 2) {
      ForkedRanks::AwaitAtLeast(0, 3);  // the others have the sum as well
      raise(SIGKILL);
    }
    for (;;) {
      const absl::Status status = SumOnes(*first, 1000);
      if (status.ok()) continue;
      if (!absl::StrContains(status.message(), "lost rank 2")) return status;
      break;
    }
    // Generation 2, of those that are left.
    const ExchangeAddresses again = [&](const std::string& mine) {
      return ForkedRanks::ExchangeAgain(rank, 2, mine);
    };
    ASSIGN_OR_RETURN(const auto second, Make(rank, 2, 500, again));
    first.reset();  // as the trainer's loop may drop it late
    for (int i = 0; i < 3; ++i) RETURN_IF_ERROR(SumOnes(*second, 500));
    return absl::OkStatus();
  });
  EXPECT_EQ(ranks.Wait(2).message(), "signal 9");
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(NcclTest, AnAsynchronousErrorEndsTheSumOfAllRanksAndSaysWhatNcclSaid) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 3, 100, exchange));
    RETURN_IF_ERROR(SumOnes(*collective, 100));
    ForkedRanks::Add(0, 1);
    std::thread breaks;
    if (rank == 1) {
      breaks = std::thread([] {
        ForkedRanks::AwaitAtLeast(0, 3);
        stand_in::FailAsynchronously(NcclResult::kRemoteError, "socketProgress: connection reset by peer");
      });
    }
    absl::Status status;
    while (status.ok()) status = SumOnes(*collective, 100);
    if (breaks.joinable()) breaks.join();
    if (collective->AllGather(nullptr, 0, nullptr).ok()) return absl::InternalError("a dead one works");
    return status;
  });
  const absl::Status broken = ranks.Wait(1);
  EXPECT_EQ(broken.code(), absl::StatusCode::kUnavailable) << broken;
  for (const char* part : {"rank 1 of 3", "remote process exited", "connection reset by peer", "likely"}) {
    EXPECT_TRUE(absl::StrContains(broken.message(), part)) << part << " is not in: " << broken;
  }
  for (const int rank : {0, 2}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "lost rank 1")) << status;
  }
}

TEST(NcclTest, AnAsynchronousErrorEndsAWaitForTheDevice) {
  // The rows of rank 0 are not made before rank 1 has failed, whose device waits for them.
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    CollectiveOptions options = Options(rank, 2, 100);
    ASSIGN_OR_RETURN(options.stream, stand_in::Device()->MakeStream());
    ASSIGN_OR_RETURN(const auto collective, MakeForTest(Kind::kNccl, options, exchange));
    Buffer<float> sums(Kind::kNccl, 100, 1.0f);
    if (rank == 0) stand_in::Enqueue(options.stream, [] { ForkedRanks::AwaitAtLeast(0, 1); });
    RETURN_IF_ERROR(collective->BeginSum(0, 100, sums.data(), sums.data()));
    std::thread breaks;
    if (rank == 1) {
      breaks = std::thread([] {
        absl::SleepFor(absl::Milliseconds(100));
        stand_in::FailAsynchronously(NcclResult::kSystemError, "NET/IB: got completion with error 12");
      });
    }
    const absl::Status status = collective->FinishSum();
    if (breaks.joinable()) breaks.join();
    ForkedRanks::Add(0, 1);
    return status;
  });
  const absl::Status status = ranks.Wait(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "completion with error 12")) << status;
  EXPECT_TRUE(absl::StrContains(ranks.Wait(0).message(), "lost rank 1"));
}

TEST(NcclTest, ARankOnTheCpuAndOneOnAGpuAreRefused) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    return MakeForTest(rank == 0 ? Kind::kNccl : Kind::kGloo, Options(rank, 2, 10), exchange).status();
  });
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "the same kind of device")) << status;
  }
}

TEST(NcclTest, DifferentVersionsAreRefused) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    if (rank == 1) stand_in::SetVersion(22703);
    return Make(rank, 2, 10, exchange).status();
  });
  const absl::Status status = ranks.Wait(0);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "rank 0 has NCCL 2.28.9, rank 1 has 2.27.3")) << status;
}

TEST(NcclTest, WithoutAnInterfaceNobodyWaits) {
  stand_in::FailUniqueId(NcclResult::kInvalidUsage, "Bootstrap : no socket interface found");
  const absl::Status status =
      Make(0, 2, 10, [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
        return absl::InternalError("not to be called");
      }).status();
  stand_in::FailUniqueId(NcclResult::kSuccess, "");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "NCCL interface not found")) << status;
}

// The sockets of the mesh connect, and then one rank never comes to NCCL.
TEST(NcclTest, ARankThatIsStuckInNcclsInitIsWaitedForUntilTheDeadlineOrTheGenerationIsGivenUp) {
  for (const bool given_up : {false, true}) {
    ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      CollectiveOptions options = Options(rank, 2, 10);
      NcclCalls calls = *stand_in::Nccl();
      if (rank == 1) {
        calls.CommInitRankConfig = [](ncclComm**, int, NcclUniqueId, int, NcclConfig*) -> NcclResult {
          ForkedRanks::AwaitAtLeast(0, 1);
          return NcclResult::kSystemError;
        };
      }
      options.memory = CollectiveOptions::Memory::kDevice;
      options.connect_timeout = given_up ? absl::Minutes(5) : absl::Milliseconds(300);
      const absl::Time late = absl::Now() + absl::Milliseconds(300);
      if (given_up) options.given_up = [late] { return absl::Now() > late; };
      const absl::Status status = MakeNccl(options, exchange, &calls, stand_in::Device()).status();
      if (rank == 0) ForkedRanks::Add(0, 1);
      return status;
    });
    const absl::Status status = ranks.Wait(0);
    EXPECT_EQ(status.code(), given_up ? absl::StatusCode::kAborted : absl::StatusCode::kUnavailable)
        << status;
    EXPECT_TRUE(absl::StrContains(status.message(), given_up ? "given up" : "did not connect within 300ms"))
        << status;
    EXPECT_TRUE(absl::StrContains(ranks.Wait(1).message(), "rank 1"));
  }
}

// The backward pass makes the parts on its stream, slower than the host queues their sums.
TEST(NcclTest, APartIsNotSentBeforeItIsMade) {
  constexpr size_t kFloats = 3000;
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    CollectiveOptions options = Options(rank, 2, kFloats);
    ASSIGN_OR_RETURN(options.stream, stand_in::Device()->MakeStream());
    ASSIGN_OR_RETURN(const auto collective, MakeForTest(Kind::kNccl, options, exchange));
    Buffer<float> sums(Kind::kNccl, kFloats);
    float* const made = sums.data();
    // The stream does not get further before all sums are queued; a host that waits for it would wait for
    // ever.
    absl::Notification queued;
    bool in_time = true;
    for (const size_t begin : {2000, 1000, 0}) {
      stand_in::Enqueue(options.stream, [=, &queued, &in_time] {
        in_time &= queued.WaitForNotificationWithTimeout(absl::Seconds(10));
        std::fill_n(made + begin, 1000, 1.0f + static_cast<float>(rank));
      });
      RETURN_IF_ERROR(collective->BeginSum(begin, 1000, made, made));
    }
    queued.Notify();
    RETURN_IF_ERROR(collective->FinishSum());
    for (size_t i = 0; i < kFloats; ++i) {
      if (sums[i] != 3.0f) return absl::InternalError(absl::StrCat("element ", i, " is ", sums[i]));
    }
    stand_in::Device()->DropStream(options.stream);
    return in_time ? absl::OkStatus() : absl::InternalError("BeginSum waits for the parts");
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NcclTest, ALoneRankWaitsForItsDeviceAsWell) {
  CollectiveOptions options = Options(0, 1, 100);
  options.stream = *stand_in::Device()->MakeStream();
  const auto collective = MakeForTest(Kind::kNccl, options, nullptr);
  ASSERT_TRUE(collective.ok()) << collective.status();
  Buffer<float> sums(Kind::kNccl, 100);
  stand_in::Enqueue(options.stream, [made = sums.data()] {
    absl::SleepFor(absl::Milliseconds(50));
    std::fill_n(made, 100, 3.0f);
  });
  EXPECT_TRUE((*collective)->OrderedSum(sums.data(), sums.data()).ok());
  EXPECT_EQ(sums[99], 3.0f);
  stand_in::Device()->DropStream(options.stream);
}

TEST(NcclTest, DifferentPartsAreAnErrorAndNotAHang) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 2, 100, exchange));
    Buffer<float> sums(Kind::kNccl, 100);
    const size_t first = rank == 0 ? 60 : 40;
    RETURN_IF_ERROR(collective->BeginSum(first, 100 - first, sums.data(), sums.data()));
    RETURN_IF_ERROR(collective->BeginSum(0, first, sums.data(), sums.data()));
    return collective->FinishSum();
  });
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_TRUE(absl::IsInternal(status) || absl::IsUnavailable(status)) << status;
  }
}

// The thread that calls is in a call of CUDA's that waits for the kernel which waits for the dead peer.
TEST(NcclTest, ALostPeerFreesTheDeviceThoughTheCallingThreadIsBlocked) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    CollectiveOptions options = Options(rank, 2, 100);
    ASSIGN_OR_RETURN(const auto collective, MakeForTest(Kind::kNccl, options, exchange));
    ForkedRanks::Add(0, 1);
    if (rank == 1) {
      for (;;) pause();
    }
    Buffer<float> sums(Kind::kNccl, 100, 1.0f);
    RETURN_IF_ERROR(collective->BeginSum(0, 100, sums.data(), sums.data()));
    ForkedRanks::Add(0, 1);
    // Until the stream has passed what was queued: rows of this rank's slice are then touched no more.
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (!stand_in::Idle() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    if (!stand_in::Idle()) return absl::InternalError("the device still waits for the dead peer");
    return collective->FinishSum();
  });
  ForkedRanks::AwaitAtLeast(0, 3);
  kill(ranks.pid(1), SIGKILL);
  const absl::Status status = ranks.Wait(0);
  EXPECT_TRUE(absl::StrContains(status.message(), "lost rank 1")) << status;
}

TEST(NcclTest, NothingIsLeftOnTheDevice) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    {
      ASSIGN_OR_RETURN(const auto collective, Make(rank, 2, 100, exchange));
      RETURN_IF_ERROR(SumOnes(*collective, 100));
    }
    return stand_in::LiveAllocations() == 0 ? absl::OkStatus() : absl::InternalError("a leak");
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(NcclTest, ABuildOrMachineWithoutAGpuSaysSo) {
  if (TheCollectiveDevice().ok()) GTEST_SKIP() << "there is one";
  CollectiveOptions options = Options(0, 2, 10);
  options.memory = CollectiveOptions::Memory::kDevice;
  const absl::Status status = MakeCollective(options, nullptr).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "CUDA")) << status;
}

}  // namespace
}  // namespace lockstep
