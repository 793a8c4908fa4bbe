#include "common/metrics/metrics_access.h"

#include "absl/strings/str_cat.h"
#include "common/net/address.h"

namespace lockstep {

void MetricsAccess::Declare(Flags* flags) {
  flags->Text("--metrics-listen", &listen, "address of /metrics; empty: none", "HOST:PORT",
              [](const std::string& text) {
                return text.empty() ? std::string() : std::string(ParseHostPort(text).status().message());
              });
  flags->Text("--metrics-tls-cert", &tls.cert,
              "certificate of /metrics, PEM; taken up anew when it changes; default: plain HTTP", "FILE");
  flags->Text("--metrics-tls-key", &tls.key, "its private key, PEM", "FILE");
  flags->Text("--metrics-token-file", &token_file,
              "bearer token that /metrics asks for; read at each scrape; default: none is asked for", "FILE");
}

absl::Status MetricsAccess::Check(bool insecure, absl::Time now) const {
  RETURN_IF_ERROR(CheckTlsFiles(tls, {.cert = "--metrics-tls-cert", .key = "--metrics-tls-key"}, now));
  if (listen.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(listen));
  if (IsLoopback(address.host)) return absl::OkStatus();
  const std::string head =
      absl::StrCat("--metrics-listen ", listen, ": other machines can reach this address, ");
  if (tls.cert.empty() && !token_file.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(head,
                     "and without TLS --metrics-token-file's token would cross the network for all to "
                     "read; give --metrics-tls-cert and --metrics-tls-key, or listen on 127.0.0.1"));
  }
  if (insecure || (!tls.cert.empty() && !token_file.empty())) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      head,
      "and anyone who can may read the metrics, which name jobs. Give --metrics-tls-cert, "
      "--metrics-tls-key and --metrics-token-file, listen on 127.0.0.1, or give --insecure if the network "
      "is trusted"));
}

MetricsServer::Options MetricsAccess::ServerOptions(const std::string& daemon) const {
  return {.listen = listen, .daemon = daemon, .tls = tls, .token_file = token_file};
}

}  // namespace lockstep
