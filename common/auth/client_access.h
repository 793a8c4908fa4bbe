// How a client (the CLI, a worker's agent) shows who it is, from flags and LOCKSTEP_* variables: a flag wins.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/flags/flags.h"
#include "common/net/tls_files.h"

namespace lockstep {

struct ClientAccess {
  TlsFiles tls;
  std::string token_file;
  std::string token;  // from LOCKSTEP_TOKEN; token_file wins

  // --tls-ca, --tls-cert, --tls-key, --token-file.
  void Declare(Flags* flags);
  // Fills what no flag gave from LOCKSTEP_TLS_CA, LOCKSTEP_TLS_CERT, LOCKSTEP_TLS_KEY, LOCKSTEP_TOKEN_FILE,
  // LOCKSTEP_TOKEN, and checks the files.
  absl::Status Complete(const std::function<std::string(const char*)>& variable);
  // Read from the file anew each time, so that it can be replaced. Empty: there is none.
  absl::StatusOr<std::string> Token() const;
  // The flags that give another program the same access; a token from a variable it inherits.
  std::vector<std::string> Arguments() const;
};

}  // namespace lockstep
