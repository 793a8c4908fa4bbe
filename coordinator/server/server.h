// The coordinator's gRPC server: the six services of proto/lockstep/v1, standard health checking and
// reflection. It only translates and waits; jobs and workers belong to the Controller, datasets to the
// DatasetRegistry.
//
// Serving from Start until Shutdown or the destructor. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/net/connection_table.h"
#include "common/net/tls_files.h"

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace lockstep {

class Controller;
class DatasetRegistry;
class AuditLog;
class Authorizer;
class Store;
class TokenStore;

class CoordinatorServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7070";    // port 0: any free one
    std::string flag = "--listen";            // named in errors about `listen`
    TlsFiles tls;                             // empty: no TLS; tls.ca: clients must show a certificate
    std::string artifact_root;                // where jobs/<id>/model lie
    Controller* controller = nullptr;         // not owned; outlives the server
    DatasetRegistry* datasets = nullptr;      // not owned; outlives the server
    Store* store = nullptr;                   // not owned; outlives the server; only read (logs)
    prometheus::Registry* metrics = nullptr;  // not owned; for counts and times of calls; null: none
    // Who may call; not owned, outlive the server. All or none of them; none: everybody may do everything.
    Authorizer* authorizer = nullptr;
    TokenStore* tokens = nullptr;
    AuditLog* audit = nullptr;
    ConnectionTable::Limits connections;
    int max_blocking_threads = 8;  // calls that read files at the same time
  };

  // UNAVAILABLE: the port is in use; the message names it and what to do. INVALID_ARGUMENT: a bad address.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(const Options& options);
  ~CoordinatorServer();

  int port() const;
  std::string address() const;  // "127.0.0.1:7070"

  // Streams are ended with UNAVAILABLE "coordinator is shutting down"; calls get `grace` to end, then are
  // cancelled. Returns when no call is left. Idempotent.
  void Shutdown(absl::Duration grace = absl::Seconds(1));

  // For /metrics; reads the server for as long as it lives.
  std::shared_ptr<prometheus::Collectable> connections() const;

  // Server streams and agents' streams that are open.
  size_t open_streams() const;

 private:
  struct Impl;
  explicit CoordinatorServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
