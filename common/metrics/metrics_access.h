// How a daemon's /metrics is reached: the flags that both daemons have for it, and what they may not be.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/flags/flags.h"
#include "common/metrics/metrics_server.h"
#include "common/net/tls_files.h"

namespace lockstep {

struct MetricsAccess {
  std::string listen;      // "127.0.0.1:7071"; empty: no page
  TlsFiles tls;            // cert and key; empty: plain HTTP
  std::string token_file;  // of whoever scrapes; empty: anybody may

  // --metrics-listen, --metrics-tls-cert, --metrics-tls-key, --metrics-token-file.
  void Declare(Flags* flags);
  // Where other machines reach the address it needs TLS and a token, unless `insecure`; a token never crosses
  // a network in the clear. INVALID_ARGUMENT, FAILED_PRECONDITION: the address, the files, or that.
  absl::Status Check(bool insecure, absl::Time now) const;
  MetricsServer::Options ServerOptions(const std::string& daemon) const;
};

}  // namespace lockstep
