#include "worker/collective/gloo_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <gloo/transport/tcp/address.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"

namespace lockstep {
namespace {

bool SameEndpoint(const sockaddr_storage& a, const sockaddr_storage& b) {
  if (a.ss_family != b.ss_family) return false;
  if (a.ss_family == AF_INET) {
    const auto& left = reinterpret_cast<const sockaddr_in&>(a);
    const auto& right = reinterpret_cast<const sockaddr_in&>(b);
    return left.sin_port == right.sin_port && left.sin_addr.s_addr == right.sin_addr.s_addr;
  }
  const auto& left = reinterpret_cast<const sockaddr_in6&>(a);
  const auto& right = reinterpret_cast<const sockaddr_in6&>(b);
  return a.ss_family == AF_INET6 && left.sin6_port == right.sin6_port &&
         std::memcmp(&left.sin6_addr, &right.sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace

absl::StatusOr<int> DuplicateSocket(const std::vector<char>& mine, const std::vector<char>& theirs) {
  const gloo::transport::tcp::Address listens(mine), peer(theirs);
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr)
    return absl::InternalError(absl::StrCat("open /proc/self/fd: ", std::strerror(errno)));
  const absl::Cleanup close_folder = [folder] { closedir(folder); };
  while (const dirent* entry = readdir(folder)) {
    const int fd = atoi(entry->d_name);
    sockaddr_storage local{}, remote{};
    socklen_t local_size = sizeof(local), remote_size = sizeof(remote);
    if (entry->d_name[0] == '.' || getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_size) != 0 ||
        getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_size) != 0) {
      continue;
    }
    // One side accepted on its pair's port, the other called the peer's.
    if (!SameEndpoint(local, listens.getSockaddr()) && !SameEndpoint(remote, peer.getSockaddr())) continue;
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) return copy;
    return absl::ResourceExhaustedError(absl::StrCat("duplicate a socket: ", std::strerror(errno)));
  }
  return absl::InternalError(absl::StrCat("no socket from ", listens.str(), " to ", peer.str()));
}

absl::Status TuneSocket(int socket, int send_buffer) {
  const int on = 1;
  if (setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) != 0) {
    return absl::InternalError(absl::StrCat("set TCP_NODELAY and SO_SNDBUF: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

void WaitReadable(int socket, int wake, absl::Duration spin) {
  const auto end = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(spin);
  do {
    char byte;
    const ssize_t got = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got >= 0 || (errno != EAGAIN && errno != EINTR)) return;
    sched_yield();  // whoever else wants this core may be the peer
  } while (std::chrono::steady_clock::now() < end);
  pollfd wanted[] = {{socket, POLLIN, 0}, {wake, POLLIN, 0}};
  while (poll(wanted, 2, -1) < 0 && errno == EINTR) {
  }
}

void AwaitSent(int socket, absl::Time deadline) {
  int unsent = 0;
  while (ioctl(socket, SIOCOUTQNSD, &unsent) == 0 && unsent > 0 && !PeerHungUp(socket) &&
         absl::Now() < deadline) {
    absl::SleepFor(absl::Microseconds(100));
  }
}

bool PeerHungUp(int socket) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  // The states in which more can come. Poll would not do: it also reports what this side has shut.
  return info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_FIN_WAIT1 &&
         info.tcpi_state != TCP_FIN_WAIT2;
}

}  // namespace lockstep
