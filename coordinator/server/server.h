// The coordinator's gRPC server: the four services of proto/lockstep/v1, standard health checking and
// reflection. It only translates and waits; jobs and workers belong to the Controller, datasets to the
// DatasetRegistry.
//
// Serving from Start until Shutdown or the destructor. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace prometheus {
class Registry;
}

namespace lockstep {

class Controller;
class DatasetRegistry;
class Store;

class CoordinatorServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7070";    // port 0: any free one
    std::string flag = "--listen";            // named in errors about `listen`
    std::string artifact_root;                // where jobs/<id>/model lie
    Controller* controller = nullptr;         // not owned; outlives the server
    DatasetRegistry* datasets = nullptr;      // not owned; outlives the server
    Store* store = nullptr;                   // not owned; outlives the server; only read (logs)
    prometheus::Registry* metrics = nullptr;  // not owned; for counts and times of calls; null: none
    int max_blocking_threads = 8;             // calls that read files at the same time
  };

  // UNAVAILABLE: the port is in use; the message names it and what to do. INVALID_ARGUMENT: a bad address.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(const Options& options);
  ~CoordinatorServer();

  int port() const;
  std::string address() const;  // "127.0.0.1:7070"

  // Streams are ended with UNAVAILABLE "coordinator is shutting down"; calls get `grace` to end, then are
  // cancelled. Returns when no call is left. Idempotent.
  void Shutdown(absl::Duration grace = absl::Seconds(1));

  // Server streams and agents' streams that are open.
  size_t open_streams() const;

 private:
  struct Impl;
  explicit CoordinatorServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
