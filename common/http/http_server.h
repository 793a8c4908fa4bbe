// A small web server for one handler: a few threads, one request for each connection, and a limit for
// everything that a client could ask too much of.
//
//   GatedListener: says nothing: waits apart -> queue, by peer -> thread: TLS, head, body -> handler ->
//   answer
//
// | limit             | what happens beyond it |
// |-------------------|--------------------------------------------------------------------------------------|
// | connections       | of all and of a peer: closed (common/net/gated_listener.h) | | threads           | a
// peer holds half of them at most; its other connections wait, those of others do not | | request_timeout   |
// a request that is not there in time, however many bytes come meanwhile, is closed    | | header bytes | 431
// | | body bytes        | 413 | | answer_timeout    | a client that does not take its answer in time is
// closed                             |
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/http/http_message.h"
#include "common/net/connection_table.h"
#include "common/net/tls_files.h"

namespace lockstep {

// Answers a request, on one of the server's threads. Thread-safe.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

class HttpServer {
 public:
  struct Options {
    std::string listen;                  // "127.0.0.1:7073"; port 0: any free one; empty: no server
    std::string flag = "--http-listen";  // named in errors
    std::string what = "the live page";  // so are these words
    TlsFiles tls;                        // cert and key; empty: plain HTTP
    size_t most_header_bytes = 16 << 10;
    int64_t most_body_bytes = 64 << 10;
    int threads = 24;
    ConnectionTable::Limits connections = {.all = 512, .per_peer = 128};
    absl::Duration request_timeout = absl::Seconds(5);
    absl::Duration answer_timeout = absl::Seconds(30);
  };

  // UNAVAILABLE: the port is in use (the message names it and what to do). INVALID_ARGUMENT: a bad address.
  // FAILED_PRECONDITION: the certificate. What `handler` refers to outlives the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Options& options, HttpHandler handler);
  ~HttpServer();

  // Takes the server down: requests that are under way are cut off. Idempotent; the destructor does the same.
  void Stop();

  std::string address() const;  // "127.0.0.1:7073"; empty: no server

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
