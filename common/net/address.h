// "host:port" addresses as people write them on command lines, and what is wrong with one that cannot be
// listened on. Plain functions, no state, no gRPC.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address
  int port = 0;      // 0: any free port

  std::string ToString() const;  // "127.0.0.1:7070", "[::1]:7070"
};

// INVALID_ARGUMENT names the text, what was expected and an example.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

// True for "localhost", 127.0.0.0/8 and ::1: nothing outside this machine can reach it.
bool IsLoopback(std::string_view host);

// Binds and closes a probe socket, to learn whether (and why not) a server could listen there; libraries tend
// to answer only "failed". `what` names the listener in the message ("the gRPC server"), `flag` the option
// that sets its address ("--listen"). UNAVAILABLE: the port is taken. PERMISSION_DENIED, INVALID_ARGUMENT: as
// named.
absl::Status CheckListenable(const HostPort& address, const std::string& what, const std::string& flag);

// Begins a connection and gives it up at once: a server that waits in accept() looks around.
void ConnectAndClose(const HostPort& address);

}  // namespace lockstep
