#include "common/net/gated_listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "common/net/limits.h"

namespace lockstep {
namespace {

constexpr int kAcceptAtOnce = 64;  // then those that wait are heard

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_storage storage;
};

// Whoever has one IPv6 address has all of its network.
GatedListener::Peer PeerOf(const SocketAddress& from) {
  char text[INET6_ADDRSTRLEN] = {};
  if (from.any.sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &from.v4.sin_addr, text, sizeof text);
    return {{reinterpret_cast<const char*>(&from.v4.sin_addr), 4},
            HostPort{text, ntohs(from.v4.sin_port)}.ToString()};
  }
  const auto* bytes = reinterpret_cast<const char*>(&from.v6.sin6_addr);
  const bool mapped = IN6_IS_ADDR_V4MAPPED(&from.v6.sin6_addr);
  ::inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, text, sizeof text);
  return {mapped ? std::string(bytes + 12, 4) : std::string(bytes, 8),
          HostPort{text, ntohs(from.v6.sin6_port)}.ToString()};
}

ino_t InodeOf(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

absl::StatusOr<int> ListenAt(const addrinfo& at, int port) {
  SocketAddress address{};
  std::memcpy(&address, at.ai_addr, at.ai_addrlen);
  (at.ai_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port) = htons(static_cast<uint16_t>(port));
  const int fd = ::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError(std::strerror(errno));
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.ai_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (::bind(fd, &address.any, at.ai_addrlen) == 0 && ::listen(fd, SOMAXCONN) == 0) return fd;
  const absl::Status status = absl::UnavailableError(std::strerror(errno));
  ::close(fd);
  return status;
}

int PortOf(int fd) {
  SocketAddress bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd, &bound.any, &size);
  return ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
}

absl::StatusOr<std::vector<int>> ListenOn(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  // All interfaces are those of IPv6 as well, where the machine has it.
  std::vector<std::string> hosts = {address.host};
  if (address.host == "0.0.0.0") hosts.insert(hosts.begin(), "::");
  absl::Status status;
  for (const std::string& host : hosts) {
    addrinfo* found = nullptr;
    if (const int code = ::getaddrinfo(host.c_str(), "0", &hints, &found); code != 0) {
      status = absl::UnavailableError(::gai_strerror(code));
      continue;
    }
    const absl::Cleanup free = [found] { ::freeaddrinfo(found); };
    std::vector<int> sockets;
    int port = address.port;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      absl::StatusOr<int> fd = ListenAt(*at, port);
      if (!fd.ok()) {
        status = fd.status();
        continue;
      }
      sockets.push_back(*fd);
      port = PortOf(*fd);
    }
    if (!sockets.empty()) return sockets;
  }
  return status;
}

}  // namespace

struct GatedListener::Impl {
  struct Waiting {
    int fd;
    int listener;
    Peer peer;
    absl::Time since;
  };
  struct Open {
    int fd;
    ino_t inode;
    std::string network;
  };

  explicit Impl(const Options& all_options) : options(all_options), table(all_options.limits) {}
  ~Impl() {
    for (const int fd : {epoll, wake}) {
      if (fd >= 0) ::close(fd);
    }
    for (const int fd : listeners) ::close(fd);
  }

  void Watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  void Accept(int listener) {
    for (int taken = 0; taken < kAcceptAtOnce; ++taken) {
      SocketAddress from{};
      socklen_t size = sizeof from;
      const int fd = ::accept4(listener, &from.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) {
        // Out of descriptors: who is silent makes room. Without any, the rest waits in the kernel.
        const bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (exhausted && !waiting.empty()) {
          DropOldest();
          continue;
        }
        if (exhausted) absl::SleepFor(absl::Milliseconds(10));
        return;
      }
      if (waiting.size() >= static_cast<size_t>(options.most_waiting)) DropOldest();
      waiting.push_back({fd, listener, PeerOf(from), absl::Now()});
      by_fd[fd] = std::prev(waiting.end());
      unheard = static_cast<int>(waiting.size());
      Watch(fd);
    }
  }

  // The oldest may have spoken meanwhile.
  void DropOldest() {
    const int oldest = waiting.front().fd;
    Hear(oldest);
    if (!waiting.empty() && waiting.front().fd == oldest) Drop(waiting.begin());
  }

  void Drop(std::list<Waiting>::iterator at) {
    ++silent;  // before its peer can see the end
    const int fd = at->fd;
    by_fd.erase(fd);
    waiting.erase(at);
    unheard = static_cast<int>(waiting.size());
    ::close(fd);
  }

  // It has said something, or has gone.
  void Hear(int fd) {
    const auto found = by_fd.find(fd);
    if (found == by_fd.end()) return;
    char byte;
    const ssize_t got = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return Drop(found->second);
    const Waiting connection = *found->second;
    waiting.erase(found->second);
    by_fd.erase(found);
    unheard = static_cast<int>(waiting.size());
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    Verdict verdict = table.Decide(connection.peer.network);
    if (verdict != Verdict::kAdmitted && absl::Now() >= next_look) {
      Sweep();
      verdict = table.Decide(connection.peer.network);
    }
    if (verdict != Verdict::kAdmitted) {
      ++(verdict == Verdict::kFull ? full : peer_full);
      ::close(fd);
      return;
    }
    const int on = 1, user_timeout = kKeepaliveIntervalMs + kKeepaliveTimeoutMs;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
    handed.push_back({fd, InodeOf(fd), connection.peer.network});
    table.Add(connection.peer.network);
    open = table.all();
    take(fd, connection.listener, connection.peer);
  }

  // Finds those that the server has closed.
  void Sweep() {
    std::erase_if(handed, [this](const Open& connection) {
      if (InodeOf(connection.fd) == connection.inode) return false;
      table.Remove(connection.network);
      return true;
    });
    open = table.all();
    next_look = absl::Now() + options.look_interval;
  }

  void Run() {
    absl::Time next_sweep = absl::Now() + absl::Seconds(1);
    std::vector<epoll_event> events(64);
    while (!stopping) {
      const int ready = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 1000);
      for (int i = 0; i < ready; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (std::find(listeners.begin(), listeners.end(), fd) != listeners.end()) {
          Accept(fd);
        } else if (fd != wake) {
          Hear(fd);
        }
      }
      const absl::Time now = absl::Now();
      while (!waiting.empty() && now - waiting.front().since > options.patience) Drop(waiting.begin());
      if (now < next_sweep) continue;
      Sweep();
      next_sweep = now + absl::Seconds(1);
    }
    while (!waiting.empty()) Drop(waiting.begin());
  }

  const Options options;
  std::vector<int> listeners;
  int epoll = -1;
  int wake = -1;
  Take take;
  std::thread thread;
  std::atomic<bool> stopping = false;

  // Of the thread.
  ConnectionTable table;
  std::list<Waiting> waiting;  // oldest first
  std::unordered_map<int, std::list<Waiting>::iterator> by_fd;
  std::vector<Open> handed;
  absl::Time next_look = absl::InfinitePast();

  std::atomic<int> unheard = 0, open = 0;
  std::atomic<int64_t> full = 0, peer_full = 0, silent = 0;
};

GatedListener::GatedListener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GatedListener::~GatedListener() { Stop(); }

absl::StatusOr<std::unique_ptr<GatedListener>> GatedListener::Listen(const Options& options) {
  auto impl = std::make_unique<Impl>(options);
  ASSIGN_OR_RETURN(impl->listeners, ListenOn(options.address));
  impl->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  impl->wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl->epoll < 0 || impl->wake < 0) return absl::UnavailableError(std::strerror(errno));
  for (const int fd : impl->listeners) impl->Watch(fd);
  impl->Watch(impl->wake);
  return std::unique_ptr<GatedListener>(new GatedListener(std::move(impl)));
}

void GatedListener::Start(Take take) {
  impl_->take = std::move(take);
  impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
}

void GatedListener::Stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopping = true;
  const uint64_t one = 1;
  (void)!::write(impl_->wake, &one, sizeof one);
  impl_->thread.join();
  for (const int fd : std::exchange(impl_->listeners, {})) ::close(fd);
}

int GatedListener::port() const { return PortOf(impl_->listeners.front()); }

GatedListener::Counts GatedListener::counts() const {
  return {impl_->unheard, impl_->open, impl_->full, impl_->peer_full, impl_->silent};
}

}  // namespace lockstep
