// The coordinator's command line. Parsing decides nothing: it fills CoordinatorFlags, or says what to print
// and how to exit.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/flags/command_line.h"
#include "common/metrics/metrics_access.h"
#include "common/net/tls_files.h"
#include "coordinator/autoscale/options.h"
#include "coordinator/tracking/options.h"

namespace lockstep {

struct CoordinatorFlags {
  std::string data_dir;       // store, lock; default: $XDG_STATE_HOME/lockstep or ~/.local/state/lockstep
  std::string artifact_root;  // checkpoints and models; default: <data_dir>/artifacts
  std::vector<std::string> data_roots;  // where clients may name files; see data_roots.h
  std::string listen = "127.0.0.1:7070";
  MetricsAccess metrics = {.listen = "127.0.0.1:7071", .tls = {}, .token_file = ""};
  std::string http_listen = "127.0.0.1:7073";  // empty: no live page
  TlsFiles http_tls;                           // of the live page; empty: see PageTls
  bool insecure = false;                       // serve other machines without TLS
  TlsFiles tls;                                // of the API; tls.ca: clients must show a certificate
  bool auth = false;                           // ask for tokens also where that is not the default
  int calls_per_second = 500;                  // of one token
  int audit_file_mib = 64;                     // of the audit log, until it goes on in another file
  int max_connections = 2048;                  // to the API
  int max_connections_per_peer = 512;          // of one address, or one IPv6 network (/64)
  std::string health_listen;                   // health checks alone, without TLS; empty: none
  int ready_fd = -1;                           // told when serving; -1: nobody
  std::string log_level = "info";
  absl::Duration heartbeat_interval = absl::Milliseconds(200);
  absl::Duration worker_timeout = absl::Seconds(2);
  bool allow_chaos = false;  // faults on purpose
  int quarantine_after = 3;  // failures of a worker within an hour; 0: never
  TrackingOptions tracking;
  AutoscaleOptions autoscale;
};

std::variant<CoordinatorFlags, Exit> ParseFlags(int argc, const char* const* argv);

// The TLS files are right, and no address that other machines can reach is served without TLS, unless
// --insecure.
absl::Status CheckExposure(const CoordinatorFlags& flags);

// The live page's certificate: its own, or the API's where other machines reach the page; empty: plain HTTP.
TlsFiles PageTls(const CoordinatorFlags& flags);

// Whether calls need a token: with --auth, or where other machines can reach the API by TLS. `flags` are
// checked.
bool NeedsTokens(const CoordinatorFlags& flags);

}  // namespace lockstep
