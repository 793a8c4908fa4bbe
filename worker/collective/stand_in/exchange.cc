#include "worker/collective/stand_in/exchange.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>

namespace lockstep::stand_in {
namespace {

// One direction of one connection: each message is its size and its bytes.
struct Lane {
  int socket = -1;
  bool sends = false;
  bool stuck = false;  // for good
  std::deque<Transfer> left;
  uint64_t size = 0;  // on its way
  size_t done = 0;    // bytes of size and data

  // Moves what can be moved now; true if anything was.
  bool Move() {
    if (left.empty() || stuck) return false;
    Transfer& at = left.front();
    size = sends ? at.bytes : size;
    const bool in_size = done < sizeof(size);
    char* const data = in_size ? reinterpret_cast<char*>(&size) + done : at.data + (done - sizeof(size));
    const size_t bytes = in_size ? sizeof(size) - done : at.bytes + sizeof(size) - done;
    const ssize_t moved = sends ? send(socket, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
                                : recv(socket, data, bytes, MSG_DONTWAIT);
    if (moved <= 0) return false;
    done += static_cast<size_t>(moved);
    stuck = !sends && done >= sizeof(size) && size != at.bytes;
    if (!stuck && done == sizeof(size) + at.bytes) {
      left.pop_front();
      done = 0;
    }
    return true;
  }
};

}  // namespace

void ExchangeAll(const std::vector<int>& sockets, const std::vector<Transfer>& transfers,
                 const std::atomic<bool>& aborted) {
  std::vector<Lane> lanes(2 * sockets.size());
  for (const Transfer& transfer : transfers) {
    Lane& lane = lanes[2 * transfer.peer + (transfer.sends ? 1 : 0)];
    lane.socket = sockets[transfer.peer];
    lane.sends = transfer.sends;
    lane.left.push_back(transfer);
  }
  while (!aborted) {
    bool moved = false;
    std::vector<pollfd> waits;
    for (Lane& lane : lanes) {
      moved = lane.Move() || moved;
      if (!lane.left.empty()) {
        waits.push_back({lane.socket, static_cast<short>(lane.sends ? POLLOUT : POLLIN), 0});
      }
    }
    if (waits.empty()) return;
    if (moved) continue;
    poll(waits.data(), waits.size(), /*timeout=*/1);
    for (const pollfd& wait : waits) {
      if ((wait.revents & (POLLHUP | POLLERR)) != 0) {  // which poll would report again at once
        usleep(1000);
        break;
      }
    }
  }
}

}  // namespace lockstep::stand_in
