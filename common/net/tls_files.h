// The PEM files of one side of a TLS connection, and what is wrong with them. They are read again whenever
// they change (tls_credentials.h), so a certificate is replaced without a restart; what is checked here is
// what they hold at the start. Plain functions, no gRPC.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

struct TlsFiles {
  std::string ca;    // authorities that the other side's certificate must come from
  std::string cert;  // ours, followed by intermediate ones; empty: we show none
  std::string key;   // of `cert`

  bool empty() const { return ca.empty() && cert.empty() && key.empty(); }
};

// Names of the options that gave the files, for messages.
struct TlsFlags {
  const char* ca = "--tls-ca";
  const char* cert = "--tls-cert";
  const char* key = "--tls-key";
};

// Each file that is given can be read and holds what it should, certificate and key belong together, and the
// certificate is valid at `now`. INVALID_ARGUMENT, FAILED_PRECONDITION: name option, file, what was expected,
// what came, what to do.
absl::Status CheckTlsFiles(const TlsFiles& files, const TlsFlags& flags, absl::Time now);

}  // namespace lockstep
