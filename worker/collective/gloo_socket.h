// A second descriptor of the connection behind a Gloo pair. Gloo keeps its own to itself (and Debian's
// headers do not let a subclass reach it), but a receive that blocks can be woken in no other way:
// Pair::close() would wait for the lock that the receive holds. The connection is found among this process's
// sockets by its addresses: each pair listens on a port of its own, so no two have the same.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

// The caller closes it. REQUIRES: the pair whose address is `mine` is connected to the one whose address is
// `theirs`.
absl::StatusOr<int> DuplicateSocket(const std::vector<char>& mine, const std::vector<char>& theirs);

// TCP_NODELAY, and `send_buffer` bytes for what the peer has not read yet, or what the system allows.
absl::Status TuneSocket(int socket, int send_buffer);

// Until something can be read: bytes, or the end of the connection; or until the eventfd `wake` is set. Polls
// for `spin` at first, which saves a wake-up where the peer is only microseconds behind, and then sleeps, so
// that a rank that waits for long takes no core from others.
void WaitReadable(int socket, int wake, absl::Duration spin);

// Until all that was written is on its way, or the connection has ended, or it is `deadline`. What a socket
// still holds is lost when it is closed with bytes in it that nobody has read.
void AwaitSent(int socket, absl::Time deadline);

// The peer has closed or reset the connection.
bool PeerHungUp(int socket);

}  // namespace lockstep
