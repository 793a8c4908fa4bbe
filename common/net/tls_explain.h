// Why a connection to a server fails, found out by trying once more by hand: gRPC itself says little more
// than "handshake failed". Plain function, no gRPC.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/net/address.h"
#include "common/net/tls_files.h"

namespace lockstep {

// Connects as a client with `files` (empty: one that speaks no TLS) and says what is wrong with the server's
// certificate, with ours, or with the two not both speaking TLS: who, expected, came, likely cause, what to
// do. Empty: nothing is wrong with TLS, or nobody listens there. Blocks for up to `timeout`.
std::string ExplainTls(const HostPort& address, const TlsFiles& files, absl::Duration timeout);

}  // namespace lockstep
