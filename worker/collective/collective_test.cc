#include "worker/collective/collective.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/numerics/reduction_tree.h"
#include "worker/collective/contract_for_test.h"
#include "worker/collective/forked_ranks.h"
#include "worker/collective/ordered_sum.h"

// Gloo forgets getaddrinfo's answer when the address is refused.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:gloo::transport::tcp::CreateDeviceAttr\n";
}

namespace lockstep {
namespace {

// The gradient of one shard: magnitudes far apart, so that another order of additions gives other bits.
float Value(int call, int shard, size_t i) {
  uint64_t x = (static_cast<uint64_t>(call) << 52) ^ (static_cast<uint64_t>(shard) << 40) ^ i;
  x = (x + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  x ^= x >> 31;
  const float mantissa = static_cast<float>(x & 0xFFFFFF) / 16777216.0f - 0.5f;
  return std::ldexp(mantissa, static_cast<int>((x >> 32) % 24) - 12);
}

// The value of `node`, straight from the tree's definition.
float NodeValue(TreeNode node, int shards, int call, size_t i) {
  if (node.level == 0) return Value(call, node.index, i);
  const TreeNode left{node.level - 1, node.index * 2}, right{node.level - 1, node.index * 2 + 1};
  const float value = NodeValue(left, shards, call, i);
  return Covered(right, shards).size() > 0 ? value + NodeValue(right, shards, call, i) : value;
}

absl::StatusOr<std::unique_ptr<Collective>> Make(Kind kind, int rank, int world, int shards, size_t n,
                                                 const ExchangeAddresses& exchange, bool spin = false) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = world;
  options.shards = shards;
  options.n = n;
  options.spin = spin;
  return MakeForTest(kind, options, exchange);
}

absl::Status CheckOrderedSum(Kind kind, Collective& collective, int shards, size_t n, int call) {
  const auto nodes = MaximalNodes(shards, ShardsOfRank(shards, collective.world(), collective.rank()));
  Buffer<float> sums(kind, nodes.size() * n), out(kind, n, -1);
  for (size_t row = 0; row < nodes.size(); ++row) {
    for (size_t i = 0; i < n; ++i) sums[row * n + i] = NodeValue(nodes[row], shards, call, i);
  }
  if (call % 2 == 1 && sums.size() >= n) {  // in place
    RETURN_IF_ERROR(collective.OrderedSum(sums.data(), sums.data()));
    std::copy_n(sums.begin(), n, out.begin());
  } else {
    RETURN_IF_ERROR(collective.OrderedSum(sums.data(), out.data()));
  }
  for (size_t i = 0; i < n; ++i) {
    const float expected = NodeValue(Root(shards), shards, call, i);
    if (std::memcmp(&expected, &out[i], sizeof(float)) != 0) {
      return absl::InternalError(absl::StrCat("shards ", shards, " n ", n, ": element ", i, " is ", out[i],
                                              ", expected ", expected));
    }
  }
  return absl::OkStatus();
}

class WorldTest : public testing::TestWithParam<std::tuple<Kind, int>> {};
INSTANTIATE_TEST_SUITE_P(Worlds, WorldTest,
                         testing::Combine(testing::Values(Kind::kGloo, Kind::kNccl), testing::Range(1, 6)),
                         [](const auto& test) {
                           return NameOf(std::get<0>(test.param)) + std::to_string(std::get<1>(test.param));
                         });

class KindTest : public testing::TestWithParam<Kind> {
 protected:
  const Kind kind = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Kinds, KindTest, testing::Values(Kind::kGloo, Kind::kNccl),
                         [](const auto& test) { return NameOf(test.param); });

TEST_P(WorldTest, OrderedSumHasTheBitsOfTheTreeWhoeverHoldsTheShards) {
  const auto [kind, world] = GetParam();
  for (int shards = world; shards <= 13; ++shards) {
    ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, shards, 777, exchange));
      for (int call = 0; call < 3; ++call)
        RETURN_IF_ERROR(CheckOrderedSum(kind, *collective, shards, 777, call));
      return absl::OkStatus();
    });
    EXPECT_TRUE(ranks.WaitAll().ok()) << "shards " << shards;
  }
}

TEST_P(WorldTest, OrderedSumOfAnySizeHasTheBitsOfTheTree) {
  const auto [kind, world] = GetParam();
  for (const size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4093}, size_t{12'285},
                         size_t{17'248}, size_t{32'767}, size_t{32'771}, size_t{65'537}, size_t{1'000'003}}) {
    if (kind == Kind::kNccl && n > 100'000) continue;  // the emulated kernel takes its time
    for (const int shards : {5, 8}) {
      ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
        ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, shards, n, exchange));
        for (int call = 0; call < 2; ++call)
          RETURN_IF_ERROR(CheckOrderedSum(kind, *collective, shards, n, call));
        return absl::OkStatus();
      });
      const absl::Status status = ranks.WaitAll();
      EXPECT_TRUE(status.ok()) << "n " << n << " shards " << shards << ": " << status;
    }
  }
}

TEST_P(WorldTest, ASumInPartsHasTheBitsOfTheWhole) {
  const auto [kind, world] = GetParam();
  constexpr size_t kFloats = 70'001;
  // As a backward pass makes them: the last floats first, and what is small at the end.
  const std::vector<size_t> ends = {0, 1, 3, 1030, 33'800, kFloats};
  ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, 7, kFloats, exchange));
    const auto nodes = MaximalNodes(7, ShardsOfRank(7, world, rank));
    for (int call = 0; call < 2; ++call) {
      Buffer<float> sums(kind, nodes.size() * kFloats), separate(kind, kFloats);
      float* const out = call == 0 ? sums.data() : separate.data();
      for (size_t row = 0; row < nodes.size(); ++row) {
        for (size_t i = 0; i < kFloats; ++i) sums[row * kFloats + i] = NodeValue(nodes[row], 7, call, i);
      }
      for (size_t part = ends.size() - 1; part > 0; --part) {
        RETURN_IF_ERROR(collective->BeginSum(ends[part - 1], ends[part] - ends[part - 1], sums.data(), out));
      }
      RETURN_IF_ERROR(collective->FinishSum());
      for (size_t i = 0; i < kFloats; ++i) {
        const float expected = NodeValue(Root(7), 7, call, i);
        if (std::memcmp(&expected, &out[i], sizeof(float)) != 0) {
          return absl::InternalError(absl::StrCat("element ", i, " is ", out[i], ", expected ", expected));
        }
      }
    }
    return CheckOrderedSum(kind, *collective, 7, kFloats, 2);
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(WorldTest, BroadcastAndAllGatherOfAnySizeAndRootMixedWithSums) {
  const auto [kind, world] = GetParam();
  ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, 8, 100, exchange));
    if (collective->rank() != rank || collective->world() != world) return absl::InternalError("who am I?");
    int call = 0;
    for (const size_t bytes :
         {size_t{0}, size_t{1}, size_t{49'135}, size_t{49'136}, size_t{49'137}, size_t{3'000'001}}) {
      for (int root = 0; root < world; ++root) {
        std::string data(bytes, rank == root ? static_cast<char>('a' + root) : '?');
        Buffer<char> there(kind, bytes, rank == root ? static_cast<char>('a' + root) : '?');
        RETURN_IF_ERROR(collective->Broadcast(data.data(), bytes, root));
        RETURN_IF_ERROR(collective->Broadcast(there.data(), bytes, root));
        const std::string expected(bytes, static_cast<char>('a' + root));
        if (data != expected || std::string(there.begin(), there.end()) != expected)
          return absl::InternalError("broadcast");
      }
      const std::string mine(bytes, static_cast<char>('A' + rank));
      std::string all(bytes * world, '?'), expected;
      for (int i = 0; i < world; ++i) expected += std::string(bytes, static_cast<char>('A' + i));
      RETURN_IF_ERROR(collective->AllGather(mine.data(), bytes, all.data()));
      if (all != expected) return absl::InternalError(absl::StrCat("all-gather of ", bytes));
      Buffer<char> mine_there(kind, bytes, static_cast<char>('A' + rank)), there(kind, bytes * world, '?');
      RETURN_IF_ERROR(collective->AllGather(mine_there.data(), bytes, there.data()));
      if (std::string(there.begin(), there.end()) != expected)
        return absl::InternalError(absl::StrCat("all-gather of ", bytes, " there"));
      RETURN_IF_ERROR(CheckOrderedSum(kind, *collective, 8, 100, ++call));
    }
    if (!absl::IsInvalidArgument(collective->Broadcast(nullptr, 0, world)))
      return absl::InternalError("bad root");
    return CheckOrderedSum(kind, *collective, 8, 100, ++call);  // a refused argument does not kill
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(WorldTest, TransferReachesItsReceiversAndNobodyElse) {
  const auto [kind, world] = GetParam();
  ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, world, 8, 100, exchange));
    int call = 0;
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1} << 20, size_t{5'000'001}}) {
      for (int root = 0; root < world; ++root) {
        std::vector<int> receivers;
        for (int other = 0; other < world; ++other) {
          if (other != root && (other + root) % 2 == 1) receivers.push_back(other);
        }
        const bool receives = std::find(receivers.begin(), receivers.end(), rank) != receivers.end();
        Buffer<char> data(kind, bytes, '?');
        std::string expected(bytes, '?');
        if (rank == root || receives) {
          for (size_t i = 0; i < bytes; ++i) expected[i] = static_cast<char>(i * 7 + i / 251 + root);
        }
        if (rank == root) std::copy(expected.begin(), expected.end(), data.begin());
        RETURN_IF_ERROR(collective->Transfer(data.data(), bytes, root, receivers));
        if (std::string(data.begin(), data.end()) != expected)
          return absl::InternalError(absl::StrCat("transfer of ", bytes, " from ", root));
        RETURN_IF_ERROR(CheckOrderedSum(kind, *collective, 8, 100, ++call));
      }
    }
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ForkedRanksTest, RanksThatHangAreKilledAndWhatTheyWaitForIsPrinted) {
  testing::internal::CaptureStderr();
  ForkedRanks ranks(
      3,
      [](int rank, const ExchangeAddresses&) -> absl::Status {
        while (rank > 0) usleep(1000);
        return absl::OkStatus();
      },
      absl::Milliseconds(100));
  const absl::Status status = ranks.WaitAll();
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  for (const char* part : {"rank 1 hangs", "rank 2 hangs", "thread"}) {
    EXPECT_TRUE(absl::StrContains(printed, part)) << part << " is not in " << printed;
  }
  EXPECT_FALSE(absl::StrContains(printed, "rank 0 hangs")) << printed;
}

TEST_P(KindTest, SpinningGivesTheSameBits) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 2, 8, 17'248, exchange, /*spin=*/true));
    for (int call = 0; call < 20; ++call)
      RETURN_IF_ERROR(CheckOrderedSum(kind, *collective, 8, 17'248, call));
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(KindTest, RanksOutOfStepKeepTheirMessagesApart) {
  // Rank 0 runs ahead through broadcasts that it need not wait for, right after connecting.
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 3, 5, exchange));
    for (int i = 0; i < 500; ++i) {
      int value = rank == 0 ? i : -1;
      RETURN_IF_ERROR(collective->Broadcast(&value, sizeof(value), 0));
      if (value != i) return absl::InternalError(absl::StrCat("got ", value, ", expected ", i));
    }
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

// Slow links are made by tests/e2e/test_stragglers.py: on the loopback a message comes in one piece.
TEST_P(KindTest, ARankThatIsLateIsNotASlowLink) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 3, 10'000, exchange));
    Buffer<float> sums(kind, 10'000), out(kind, 10'000);
    for (int call = 0; call < 3; ++call) {
      if (rank == 0) absl::SleepFor(absl::Milliseconds(200));
      RETURN_IF_ERROR(collective->OrderedSum(sums.data(), out.data()));
    }
    for (int other = 0; other < 3; ++other) {
      const double took = collective->arriving()[other];
      if ((other == rank) != (took == 0) || took > 0.2) {
        return absl::InternalError(
            absl::StrCat("rank ", rank, ": messages of ", other, " took ", took, " s"));
      }
    }
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(KindTest, MoreRanksThanShardsIsRefused) {
  const auto never = [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
    return absl::InternalError("not to be called");
  };
  EXPECT_EQ(Make(kind, 0, 3, 2, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Make(kind, 3, 3, 8, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Make(kind, -1, 1, 8, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(KindTest, AHostThatIsNotOursIsAnError) {
  CollectiveOptions options;
  options.world = options.shards = 2;
  options.host = "192.0.2.1";
  const absl::Status status = MakeForTest(kind, options, [](const std::string& mine) {
                                return std::vector<std::string>{mine, mine};
                              }).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), "192.0.2.1")) << status;
}

TEST_P(KindTest, GarbageFromTheRendezvousIsAnError) {
  for (const std::string garbage :
       {"", "x", "lockstep-gloo-1 2 2 0 1", "lockstep-gloo-1 2 2 0 1 zz ", "lockstep-gloo-1 2 2 0 1 00 00",
        "lockstep-gloo-1 2000000000 2 0 1", "lockstep-gloo-1 -1 2 0 1"}) {
    CollectiveOptions options;
    options.world = options.shards = 2;
    const absl::Status status = MakeForTest(kind, options, [&](const std::string& mine) {
                                  return std::vector<std::string>{mine, garbage};
                                }).status();
    EXPECT_FALSE(status.ok()) << garbage;
  }
  CollectiveOptions options;
  options.world = options.shards = 2;
  EXPECT_FALSE(MakeForTest(kind, options, [](const std::string& mine) {
                 return std::vector<std::string>{mine};
               }).ok());
  EXPECT_EQ(MakeForTest(kind, options,
                        [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
                          return absl::CancelledError("stopped");
                        })
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST_P(KindTest, DifferentSizesAtCreationAreNamed) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    return Make(kind, rank, 2, 8, rank == 0 ? 100 : 101, exchange).status();
  });
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "101")) << status;
  }
}

TEST_P(KindTest, DifferentCallsAreAnErrorAndNotAHang) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(kind, rank, 3, 3, 10, exchange));
    Buffer<float> sums(kind, 10), out(kind, 10);
    std::vector<char> all(3 * 200'000);
    if (rank == 0) return collective->OrderedSum(sums.data(), out.data());
    return collective->AllGather(all.data(), rank == 1 ? 100'000 : 200'000, all.data());
  });
  for (const int rank : {0, 1, 2}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_TRUE(absl::IsInternal(status) || absl::IsUnavailable(status)) << status;
  }
}

}  // namespace
}  // namespace lockstep
