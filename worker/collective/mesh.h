// The connections of one generation: every rank has one to every other, and passes small messages over them
// in the thread that calls. Built on Gloo's TCP pairs in synchronous mode: a receive reads the socket itself,
// so that no other thread has to be woken on the way (measured: that wake-up costs more than the copy).
//
// A message fits into kMessageBytes. Ranks that send to each other before they receive keep at most
// kMessagesUnderWay messages under way to one peer: so much the sockets hold, and nobody blocks for good.
//
// One thread calls; Abort() comes from any. After the first error the mesh is dead and its connections are
// shut, which the peers see at once, whatever they do (PeerWatch). Whoever fails first tells the others which
// rank it lost, so that each names the same one. A healthy mesh that is dropped says so: peers that are still
// busy with one another go on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/collective/collective.h"

namespace lockstep {

class Mesh {
 public:
  static constexpr size_t kHeaderBytes = 16;
  static constexpr size_t kMessageBytes = size_t{48} << 10;
  static constexpr int kMessagesUnderWay = 4;
  static constexpr size_t kPayloadBytes = kMessageBytes - kHeaderBytes;

  // What a message belongs to; the receiver expects an equal one.
  struct Header {
    uint32_t operation = 0;
    uint32_t call = 0;
    uint64_t size = 0;
    friend bool operator==(const Header&, const Header&) = default;
  };

  // Blocks until all are connected. UNAVAILABLE: a peer cannot be reached; INVALID_ARGUMENT: peers disagree
  // about world, shards or n. `on_stuck` is called from a thread of the mesh's when a peer was lost and the
  // thread that calls has not noticed within 20 ms: it may be blocked elsewhere.
  static absl::StatusOr<std::unique_ptr<Mesh>> Connect(const CollectiveOptions& options,
                                                       const ExchangeAddresses& exchange,
                                                       std::function<void()> on_stuck = {});
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  int rank() const;
  int world() const;

  // A number for the next call, the same on every rank.
  uint32_t NextCall();
  // Where the next message's payload is put together.
  char* outgoing();
  // Sends the first `bytes` of outgoing(); it may be filled again on return.
  absl::Status Send(int peer, const Header& header, size_t bytes);
  // The next message of `peer`, whose header must be `header`; valid until the next Receive from the same
  // peer. INTERNAL: the peer makes another call.
  absl::StatusOr<char*> Receive(int peer, const Header& header);
  // Seconds, by rank; see Collective::arriving.
  const std::vector<double>& arriving() const;

  // Whether a peer was lost, or Abort() called, since the last call: what Send would say.
  absl::Status Check();
  // This rank gives up because of `why`: the mesh is dead, and the peers learn that they lost this rank.
  // Returns `why`, or what had made the mesh dead before.
  absl::Status Fail(absl::Status why);

  void Abort();

 private:
  struct State;
  explicit Mesh(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
