// Notices that a peer is gone while nobody reads its connection: the rank may be computing, or blocked on
// another peer that waits too. A thread sleeps on all connections and is woken by a hang-up alone, never by
// data.
//
// A connection that ends says how in its last bytes: a FarewellWord. Without one the peer's process died. The
// word is only peeked at; it stays in the stream.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace lockstep {

// Sent before a connection is shut on purpose.
struct FarewellWord {
  static constexpr uint64_t kMagic = 0x6c6c657765726166;
  static constexpr int32_t kPeace = -1;  // done; nobody is missed
  uint64_t magic = 0;                    // 0: none has come
  int32_t lost = kPeace;                 // the rank whose loss made the sender leave
  int32_t unused = 0;
};

// The word at the end of what has arrived and not been read; magic 0: none.
FarewellWord PeekFarewell(int socket);

class PeerWatch {
 public:
  // `sockets` by rank, -1: none. They stay the caller's and stay open while this lives. `on_lost(rank)` is
  // called at most once, from the thread, for a connection that ended otherwise than in peace: that rank's
  // fault or not.
  PeerWatch(std::vector<int> sockets, std::function<void(int)> on_lost);
  ~PeerWatch();
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

 private:
  void Run();

  std::vector<int> sockets_;
  const std::function<void(int)> on_lost_;
  int stop_event_;
  std::thread thread_;
};

}  // namespace lockstep
