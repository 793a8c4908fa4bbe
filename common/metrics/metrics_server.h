// A daemon's /metrics page: a prometheus-cpp registry for what the daemon counts itself, collectables for
// what it computes at scrape time, and a small HTTP server. Every page also has lockstep_build_info and the
// process's own numbers (memory, CPU, start time, open files).
//
// Metric names: prefix lockstep_, base units, counters end in _total, no unbounded labels.
// Thread-safe after Start. Scrapes run on the HTTP server's own threads.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/net/tls_files.h"

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace lockstep {

class MetricsServer {
 public:
  struct Options {
    std::string listen;                     // "127.0.0.1:7071"; port 0: any free one; empty: no HTTP server
    std::string flag = "--metrics-listen";  // named in errors
    std::string daemon;                     // "coordinator", "worker": a label of lockstep_build_info
    TlsFiles tls;                           // cert and key; empty: plain HTTP
    std::string token_file;                 // the bearer token of whoever scrapes; empty: anybody may
    std::string token_flag = "--metrics-token-file";  // named in errors
  };

  // UNAVAILABLE: the port is in use (the message names it and what to do). INVALID_ARGUMENT: a bad address.
  // FAILED_PRECONDITION: the certificate, or the file of the token.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const Options& options);
  ~MetricsServer();

  prometheus::Registry& registry();

  // Scraped too, for as long as the caller keeps it alive.
  void Add(const std::shared_ptr<prometheus::Collectable>& collectable);

  // Takes the HTTP server down; the registry stays. Idempotent; the destructor does the same.
  void Stop();

  int port() const;             // 0: no HTTP server
  std::string address() const;  // "127.0.0.1:7071"; empty: no HTTP server

 private:
  struct Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
