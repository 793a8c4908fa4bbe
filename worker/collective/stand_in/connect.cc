#include "worker/collective/stand_in/connect.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace lockstep::stand_in {
namespace {

struct Address {
  sockaddr_un address = {};
  socklen_t size;

  // An abstract name: nothing is left in the file system.
  Address(const std::string& name, int rank) {
    const std::string whole = name + "-" + std::to_string(rank);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, whole.data(), whole.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + whole.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

}  // namespace

std::vector<int> ConnectRanks(const std::string& name, int rank, int world,
                              const std::atomic<bool>& aborted) {
  std::vector<int> sockets(world, -1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const Address mine(name, rank);
  if (bind(listener, mine.get(), mine.size) != 0 || listen(listener, world) != 0) {
    close(listener);
    return sockets;  // the name is taken: nobody will come, as with an id that was used before
  }
  for (int peer = 0; peer < rank; ++peer) {
    const Address theirs(name, peer);
    const int to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (!aborted && connect(to, theirs.get(), theirs.size) != 0) usleep(500);
    if (write(to, &rank, sizeof(rank)) != sizeof(rank)) usleep(500);
    sockets[peer] = to;
  }
  for (int missing = world - 1 - rank; missing > 0 && !aborted;) {
    pollfd polled = {listener, POLLIN, 0};
    if (poll(&polled, 1, /*timeout=*/1) <= 0) continue;
    const int from = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    int peer = -1;
    if (from < 0) continue;
    if (read(from, &peer, sizeof(peer)) != sizeof(peer) || peer <= rank || peer >= world) {
      close(from);
      continue;
    }
    sockets[peer] = from;
    --missing;
  }
  close(listener);
  return sockets;
}

}  // namespace lockstep::stand_in
