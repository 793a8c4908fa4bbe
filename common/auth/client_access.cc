#include "common/auth/client_access.h"

#include "absl/time/clock.h"
#include "common/auth/token.h"

namespace lockstep {

void ClientAccess::Declare(Flags* flags) {
  flags->Text(
      "--tls-ca", &tls.ca,
      "Connect by TLS; the coordinator's certificate must come from this authority, PEM (or LOCKSTEP_TLS_CA)",
      "FILE");
  flags->Text("--tls-cert", &tls.cert, "Certificate to show to the coordinator, PEM (or LOCKSTEP_TLS_CERT)",
              "FILE");
  flags->Text("--tls-key", &tls.key, "Its private key, PEM (or LOCKSTEP_TLS_KEY)", "FILE");
  flags->Text(
      "--token-file", &token_file,
      "File with the token to call with (or LOCKSTEP_TOKEN_FILE, or the token itself in LOCKSTEP_TOKEN)",
      "FILE");
}

absl::Status ClientAccess::Complete(const std::function<std::string(const char*)>& variable) {
  if (tls.ca.empty()) tls.ca = variable("LOCKSTEP_TLS_CA");
  if (tls.cert.empty() && tls.key.empty()) {
    tls.cert = variable("LOCKSTEP_TLS_CERT");
    tls.key = variable("LOCKSTEP_TLS_KEY");
  }
  if (token_file.empty()) {
    token = variable("LOCKSTEP_TOKEN");
    if (token.empty()) token_file = variable("LOCKSTEP_TOKEN_FILE");
  }
  if (!tls.empty() && tls.ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-cert is given without --tls-ca; name the authority that the coordinator's certificate comes "
        "from");
  }
  return CheckTlsFiles(tls, {}, absl::Now());
}

absl::StatusOr<std::string> ClientAccess::Token() const {
  if (token_file.empty()) return token;
  return ReadTokenFile(token_file);
}

std::vector<std::string> ClientAccess::Arguments() const {
  std::vector<std::string> arguments;
  for (const auto& [flag, value] : {std::pair<const char*, const std::string&>{"--tls-ca", tls.ca},
                                    {"--tls-cert", tls.cert},
                                    {"--tls-key", tls.key},
                                    {"--token-file", token_file}}) {
    if (!value.empty()) arguments.insert(arguments.end(), {flag, value});
  }
  return arguments;
}

}  // namespace lockstep
