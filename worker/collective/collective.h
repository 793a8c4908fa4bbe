// What ranks do together. One Collective belongs to one generation of one job; it is made when the generation
// forms and dropped when it ends. Calls are collective: every rank makes the same ones in the same order,
// from one thread. After an error the object is dead: each further call fails at once, and peers see an error
// too. World size 1 is the identity, not an error.
//
// Where the collective sums on a GPU (CollectiveOptions::memory), the buffers of a call may be the device's
// or the host's; all ranks give the same kind to one call.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "kernels/cuda/stream.h"

namespace lockstep {

class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int world() const = 0;

  // The order-independent sum. Rank r holds the shards ShardsOfRank(shards, world, r); `node_sums` has one
  // row of `n` floats for each of its MaximalNodes, (nodes, n). Leaves the root's value, the same bits on
  // every rank and for every world size, in `out` (n), which may be `node_sums` itself. `node_sums` is
  // scratch afterwards. `shards` and `n` must be those given at creation.
  virtual absl::Status OrderedSum(float* node_sums, float* out) = 0;

  // The same sum in parts, so that one travels while the next is still computed: the floats [begin, begin +
  // count) of each row and of `out`. The parts are disjoint and together all of [0, n); every rank makes the
  // same ones in the same order. BeginSum returns when its part is done, or, with buffers on a device, when
  // it is queued behind what `CollectiveOptions::stream` holds at that moment. The part's floats are not to
  // be touched before FinishSum, which blocks until `out` is there for the host and for every stream:
  // whatever fails does so before anything is computed from `out`.
  virtual absl::Status BeginSum(size_t begin, size_t count, float* node_sums, float* out) = 0;
  virtual absl::Status FinishSum() = 0;

  // `bytes` from root to all.
  virtual absl::Status Broadcast(void* data, size_t bytes, int root) = 0;
  // As Broadcast, to `receivers` alone, which every rank names alike; `data` of the others is not touched.
  virtual absl::Status Transfer(void* data, size_t bytes, int root, const std::vector<int>& receivers) = 0;
  // `bytes` of each rank to all, in rank order: out is (world, bytes).
  virtual absl::Status AllGather(const void* in, size_t bytes, void* out) = 0;

  // By rank: the seconds spent so far on messages of that rank's that had begun to come, until they were
  // whole. Much of it is a link that is slow or loses packets; a peer that is late adds nothing. Zero for the
  // own one.
  virtual const std::vector<double>& arriving() const = 0;

  // From any thread: makes blocked and later calls fail with ABORTED.
  virtual void Abort() = 0;
};

struct CollectiveOptions {
  enum class Memory { kHost, kDevice };

  int rank = 0;
  int world = 1;
  int shards = 1;
  size_t n = 0;                      // floats in one OrderedSum
  std::string host = "127.0.0.1";    // address that peers can reach this rank at
  Memory memory = Memory::kHost;     // of what OrderedSum is given
  kernels::Stream stream = nullptr;  // kDevice: what makes device buffers is queued here before a call
  bool spin = false;  // poll for a moment before sleeping; where each rank may have a core of its own
  absl::Duration connect_timeout = absl::Seconds(30);  // for a peer that does not call back
  // Asked every few milliseconds while peers connect; true ends the attempt with ABORTED.
  std::function<bool()> given_up = [] { return false; };
};

// Publishes this rank's address blob and returns those of all ranks, in rank order. Blocks.
using ExchangeAddresses = std::function<absl::StatusOr<std::vector<std::string>>(const std::string& mine)>;

// worker/collective/single.cc (world 1), gloo.cc (kHost) or nccl.cc (kDevice). FAILED_PRECONDITION: kDevice
// without a GPU or without NCCL.
absl::StatusOr<std::unique_ptr<Collective>> MakeCollective(const CollectiveOptions& options,
                                                           const ExchangeAddresses& exchange);

}  // namespace lockstep
