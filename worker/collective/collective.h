// What ranks do together. One Collective belongs to one generation of one job; it is made when the generation
// forms and dropped when it ends. Calls are collective: every rank makes the same ones in the same order,
// from one thread. After an error the object is dead: each further call fails at once, and peers see an error
// too. World size 1 is the identity, not an error.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int world() const = 0;

  // The order-independent sum. Rank r holds the shards ShardsOfRank(shards, world, r); `node_sums` has one
  // row of `n` floats for each of its MaximalNodes, (nodes, n). Leaves the root's value, the same bits on
  // every rank and for every world size, in `out` (n). `node_sums` is scratch afterwards. `shards` and `n`
  // must be those given at creation.
  virtual absl::Status OrderedSum(float* node_sums, float* out) = 0;

  // `bytes` from root to all.
  virtual absl::Status Broadcast(void* data, size_t bytes, int root) = 0;
  // `bytes` of each rank to all, in rank order: out is (world, bytes).
  virtual absl::Status AllGather(const void* in, size_t bytes, void* out) = 0;

  // From any thread: makes blocked and later calls fail with ABORTED.
  virtual void Abort() = 0;
};

struct CollectiveOptions {
  int rank = 0;
  int world = 1;
  int shards = 1;
  size_t n = 0;                    // floats in one OrderedSum
  std::string host = "127.0.0.1";  // address that peers can reach this rank at
  bool spin = false;  // poll for a moment before sleeping; where each rank may have a core of its own
  absl::Duration connect_timeout = absl::Seconds(30);  // for a peer that does not call back
  // Asked every few milliseconds while peers connect; true ends the attempt with ABORTED.
  std::function<bool()> given_up = [] { return false; };
};

// Publishes this rank's address blob and returns those of all ranks, in rank order. Blocks.
using ExchangeAddresses = std::function<absl::StatusOr<std::vector<std::string>>(const std::string& mine)>;

// worker/collective/single.cc (world 1) or gloo.cc, by options.world.
absl::StatusOr<std::unique_ptr<Collective>> MakeCollective(const CollectiveOptions& options,
                                                           const ExchangeAddresses& exchange);

}  // namespace lockstep
