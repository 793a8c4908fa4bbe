// Takes connections for a gRPC server, which has no limits of its own for them, and whose listener ends for
// good when the process is out of descriptors.
//
//   connect -> waits, until it says something -> limits (connection_table.h) -> the server
//                |  too long, or too many of them: the oldest is closed             | refused: closed
//
// A connection that says nothing costs a descriptor and holds nobody up. Who has connections is known without
// the server's help: one is gone when its descriptor is no longer the same socket.
//
// Thread-safe; one thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/net/address.h"
#include "common/net/connection_table.h"

namespace lockstep {

class GatedListener {
 public:
  struct Options {
    HostPort address;  // port 0: any free one
    ConnectionTable::Limits limits;
    int most_waiting = 256;                       // that have said nothing
    absl::Duration patience = absl::Seconds(10);  // with those
    // Between two looks at who has gone, which cost a system call for each connection.
    absl::Duration look_interval = absl::Milliseconds(20);
  };
  struct Counts {
    int waiting = 0;        // have said nothing yet
    int open = 0;           // handed over, not yet seen to be gone
    int64_t full = 0;       // refused since the start
    int64_t peer_full = 0;  // refused since the start
    int64_t silent = 0;     // closed before they said anything
  };
  struct Peer {
    std::string network;  // what limits count: an IPv4 address, or an IPv6 network, as bytes
    std::string address;  // "10.0.0.7:51234"
  };
  // Owns `fd`, a connected socket that does not block; `listener` accepted it. On the listener's thread.
  using Take = std::function<void(int fd, int listener, const Peer& peer)>;

  // Listens on every address that the host has; connections wait in the kernel until Start. UNAVAILABLE: the
  // message has what the system said.
  static absl::StatusOr<std::unique_ptr<GatedListener>> Listen(const Options& options);
  ~GatedListener();

  void Start(Take take);
  void Stop();  // no Take runs after it; idempotent

  int port() const;
  Counts counts() const;

 private:
  struct Impl;
  explicit GatedListener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
