#include "worker/collective/collective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "common/numerics/reduction_tree.h"
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

absl::StatusOr<std::unique_ptr<Collective>> Make(int rank, int world, int shards, size_t n,
                                                 const ExchangeAddresses& exchange, bool spin = false) {
  CollectiveOptions options;
  options.rank = rank;
  options.world = world;
  options.shards = shards;
  options.n = n;
  options.spin = spin;
  return MakeCollective(options, exchange);
}

absl::Status CheckOrderedSum(Collective& collective, int shards, size_t n, int call) {
  const auto nodes = MaximalNodes(shards, ShardsOfRank(shards, collective.world(), collective.rank()));
  std::vector<float> sums(nodes.size() * n), out(n, -1);
  for (size_t row = 0; row < nodes.size(); ++row) {
    for (size_t i = 0; i < n; ++i) sums[row * n + i] = NodeValue(nodes[row], shards, call, i);
  }
  RETURN_IF_ERROR(collective.OrderedSum(sums.data(), out.data()));
  for (size_t i = 0; i < n; ++i) {
    const float expected = NodeValue(Root(shards), shards, call, i);
    if (std::memcmp(&expected, &out[i], sizeof(float)) != 0) {
      return absl::InternalError(absl::StrCat("shards ", shards, " n ", n, ": element ", i, " is ", out[i],
                                              ", expected ", expected));
    }
  }
  return absl::OkStatus();
}

class WorldTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Worlds, WorldTest, testing::Range(1, 6));

TEST_P(WorldTest, OrderedSumHasTheBitsOfTheTreeWhoeverHoldsTheShards) {
  const int world = GetParam();
  for (int shards = world; shards <= 13; ++shards) {
    ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
      ASSIGN_OR_RETURN(const auto collective, Make(rank, world, shards, 777, exchange));
      for (int call = 0; call < 3; ++call) RETURN_IF_ERROR(CheckOrderedSum(*collective, shards, 777, call));
      return absl::OkStatus();
    });
    EXPECT_TRUE(ranks.WaitAll().ok()) << "shards " << shards;
  }
}

TEST_P(WorldTest, OrderedSumOfAnySizeHasTheBitsOfTheTree) {
  const int world = GetParam();
  for (const size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4093}, size_t{12'285},
                         size_t{17'248}, size_t{32'767}, size_t{32'771}, size_t{65'537}, size_t{1'000'003}}) {
    for (const int shards : {5, 8}) {
      ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
        ASSIGN_OR_RETURN(const auto collective, Make(rank, world, shards, n, exchange));
        for (int call = 0; call < 2; ++call) RETURN_IF_ERROR(CheckOrderedSum(*collective, shards, n, call));
        return absl::OkStatus();
      });
      const absl::Status status = ranks.WaitAll();
      EXPECT_TRUE(status.ok()) << "n " << n << " shards " << shards << ": " << status;
    }
  }
}

TEST_P(WorldTest, BroadcastAndAllGatherOfAnySizeAndRootMixedWithSums) {
  const int world = GetParam();
  ForkedRanks ranks(world, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, world, 8, 100, exchange));
    if (collective->rank() != rank || collective->world() != world) return absl::InternalError("who am I?");
    int call = 0;
    for (const size_t bytes :
         {size_t{0}, size_t{1}, size_t{49'135}, size_t{49'136}, size_t{49'137}, size_t{3'000'001}}) {
      for (int root = 0; root < world; ++root) {
        std::string data(bytes, rank == root ? static_cast<char>('a' + root) : '?');
        RETURN_IF_ERROR(collective->Broadcast(data.data(), bytes, root));
        if (data != std::string(bytes, static_cast<char>('a' + root)))
          return absl::InternalError("broadcast");
      }
      const std::string mine(bytes, static_cast<char>('A' + rank));
      std::string all(bytes * world, '?'), expected;
      for (int i = 0; i < world; ++i) expected += std::string(bytes, static_cast<char>('A' + i));
      RETURN_IF_ERROR(collective->AllGather(mine.data(), bytes, all.data()));
      if (all != expected) return absl::InternalError(absl::StrCat("all-gather of ", bytes));
      RETURN_IF_ERROR(CheckOrderedSum(*collective, 8, 100, ++call));
    }
    if (!absl::IsInvalidArgument(collective->Broadcast(nullptr, 0, world)))
      return absl::InternalError("bad root");
    return CheckOrderedSum(*collective, 8, 100, ++call);  // a refused argument does not kill
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CollectiveTest, SpinningGivesTheSameBits) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 2, 8, 17'248, exchange, /*spin=*/true));
    for (int call = 0; call < 20; ++call) RETURN_IF_ERROR(CheckOrderedSum(*collective, 8, 17'248, call));
    return absl::OkStatus();
  });
  const absl::Status status = ranks.WaitAll();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CollectiveTest, RanksOutOfStepKeepTheirMessagesApart) {
  // Rank 0 runs ahead through broadcasts that it need not wait for, right after connecting.
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 3, 3, 5, exchange));
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

TEST(CollectiveTest, MoreRanksThanShardsIsRefused) {
  const auto never = [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
    return absl::InternalError("not to be called");
  };
  EXPECT_EQ(Make(0, 3, 2, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Make(3, 3, 8, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Make(-1, 1, 8, 1, never).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CollectiveTest, AHostThatIsNotOursIsAnError) {
  CollectiveOptions options;
  options.world = options.shards = 2;
  options.host = "192.0.2.1";
  const absl::Status status = MakeCollective(options, [](const std::string& mine) {
                                return std::vector<std::string>{mine, mine};
                              }).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), "192.0.2.1")) << status;
}

TEST(CollectiveTest, GarbageFromTheRendezvousIsAnError) {
  for (const std::string garbage :
       {"", "x", "lockstep-gloo-1 2 2 0 1", "lockstep-gloo-1 2 2 0 1 zz ", "lockstep-gloo-1 2 2 0 1 00 00",
        "lockstep-gloo-1 2000000000 2 0 1", "lockstep-gloo-1 -1 2 0 1"}) {
    CollectiveOptions options;
    options.world = options.shards = 2;
    const absl::Status status = MakeCollective(options, [&](const std::string& mine) {
                                  return std::vector<std::string>{mine, garbage};
                                }).status();
    EXPECT_FALSE(status.ok()) << garbage;
  }
  CollectiveOptions options;
  options.world = options.shards = 2;
  EXPECT_FALSE(
      MakeCollective(options, [](const std::string& mine) { return std::vector<std::string>{mine}; }).ok());
  EXPECT_EQ(MakeCollective(options,
                           [](const std::string&) -> absl::StatusOr<std::vector<std::string>> {
                             return absl::CancelledError("stopped");
                           })
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST(CollectiveTest, DifferentSizesAtCreationAreNamed) {
  ForkedRanks ranks(2, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    return Make(rank, 2, 8, rank == 0 ? 100 : 101, exchange).status();
  });
  for (const int rank : {0, 1}) {
    const absl::Status status = ranks.Wait(rank);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "101")) << status;
  }
}

TEST(CollectiveTest, DifferentCallsAreAnErrorAndNotAHang) {
  ForkedRanks ranks(3, [&](int rank, const ExchangeAddresses& exchange) -> absl::Status {
    ASSIGN_OR_RETURN(const auto collective, Make(rank, 3, 3, 10, exchange));
    std::vector<float> sums(10), out(10);
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
