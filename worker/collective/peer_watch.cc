#include "worker/collective/peer_watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace lockstep {

FarewellWord PeekFarewell(int socket) {
  int unread = 0;
  FarewellWord word;
  if (ioctl(socket, FIONREAD, &unread) != 0 || unread < static_cast<int>(sizeof(word))) return {};
  std::vector<char> bytes(static_cast<size_t>(unread));
  const ssize_t got = recv(socket, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < static_cast<ssize_t>(sizeof(word))) return {};
  std::memcpy(&word, bytes.data() + got - sizeof(word), sizeof(word));
  return word.magic == FarewellWord::kMagic ? word : FarewellWord{};
}

PeerWatch::PeerWatch(std::vector<int> sockets, std::function<void(int)> on_lost)
    : sockets_(std::move(sockets)), on_lost_(std::move(on_lost)), stop_event_(eventfd(0, EFD_CLOEXEC)) {
  sigset_t all, before;  // the process's signals are for its own threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

PeerWatch::~PeerWatch() {
  eventfd_write(stop_event_, 1);
  thread_.join();
  close(stop_event_);
}

void PeerWatch::Run() {
  for (;;) {
    std::vector<pollfd> polled = {{stop_event_, POLLIN, 0}};
    std::vector<int> ranks = {-1};
    for (size_t rank = 0; rank < sockets_.size(); ++rank) {
      if (sockets_[rank] < 0) continue;
      polled.push_back({sockets_[rank], POLLRDHUP, 0});
      ranks.push_back(static_cast<int>(rank));
    }
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[0].revents != 0) return;
    for (size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const FarewellWord word = PeekFarewell(polled[i].fd);
      if (word.magic == 0 || word.lost != FarewellWord::kPeace) {
        on_lost_(ranks[i]);
        return;
      }
      sockets_[ranks[i]] = -1;
    }
  }
}

}  // namespace lockstep
