#include "common/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace lockstep {
namespace {

absl::Status BadAddress(std::string_view text, const std::string& problem) {
  return absl::InvalidArgumentError(absl::StrCat("address '", std::string(text), "': ", problem,
                                                 "; expected HOST:PORT, for example 127.0.0.1:7070"));
}

absl::Status BindError(int error, const HostPort& address, const std::string& what, const std::string& flag) {
  const std::string head = absl::StrCat(what, " cannot listen on ", address.ToString(), ": ");
  switch (error) {
    case EADDRINUSE:
      return absl::UnavailableError(
          absl::StrCat(head, "port ", address.port,
                       " is in use; another program (perhaps another Lockstep daemon) has it. ",
                       "Stop that one, or choose another port with ", flag, " (port 0 takes any free one)"));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat(head, "port ", address.port,
                       " needs privileges this process does not have; choose one above 1023 with ", flag));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(
          absl::StrCat(head, "this machine has no network interface with the address ", address.host,
                       "; see `ip addr`, and set ", flag));
    default:
      return absl::UnavailableError(
          absl::StrCat(head, std::strerror(error), "; set another address with ", flag));
  }
}

}  // namespace

std::string HostPort::ToString() const {
  const bool v6 = absl::StrContains(host, ':');
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  HostPort result;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "there is no port");
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return BadAddress(text, "an IPv6 address needs brackets, as in [::1]:7070");
  }
  if (host.empty()) return BadAddress(text, "there is no host");
  const std::string port(text.substr(colon + 1));
  if (!absl::SimpleAtoi(port, &result.port) || result.port < 0 || result.port > 65535) {
    return BadAddress(text, absl::StrCat("'", port, "' is not a port (0 to 65535)"));
  }
  result.host = std::string(host);
  return result;
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  const std::string name(host);
  in_addr v4;
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, name.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return false;
}

absl::Status CheckListenable(const HostPort& address, const std::string& what, const std::string& flag) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return absl::InvalidArgumentError(absl::StrCat(what, " cannot listen on ", address.ToString(),
                                                   ": the host '", address.host, "' is not known (",
                                                   gai_strerror(code), "); check ", flag));
  }
  absl::Status status;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    status = BindError(errno, address, what, flag);
  } else {
    const int on = 1;  // as the servers do: a port in TIME_WAIT is not in use
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      status = BindError(errno, address, what, flag);
    }
    close(fd);
  }
  freeaddrinfo(found);
  return status;
}

void ConnectAndClose(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) {
    connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

}  // namespace lockstep
