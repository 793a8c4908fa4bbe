// Calls to somebody else's HTTP server (libcurl). A GET goes over a kept connection; any other request over
// one of its own, and is sent at most once. Redirects are not followed.
//
// Not thread-safe: one client for each thread; Stop alone may be called from elsewhere.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

class HttpClient {
 public:
  struct Request {
    std::string method = "GET";
    std::string url;
    std::string body;                  // empty: none
    std::vector<std::string> headers;  // "Name: value"
  };
  struct Response {
    int status = 0;
    std::string body;
  };
  struct Options {
    absl::Duration connect_timeout = absl::Seconds(5);
    absl::Duration timeout = absl::Seconds(30);  // of a whole request
    std::string ca_file;                         // PEM, read for each new connection; empty: the system's
    std::string user_password;                   // "user:password" for basic authentication; empty: none
    int64_t largest_response = 64 << 20;         // bytes
  };
  explicit HttpClient(const Options& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Whatever the server answered, also 4xx and 5xx. UNAVAILABLE: no whole answer came (refused, broken, too
  // slow, TLS): whether the server did what it was asked is not known. CANCELLED: Stop was called.
  absl::StatusOr<Response> Do(const Request& request);

  // Ends a request that is under way and all later ones.
  void Stop() { stopped_ = true; }

 private:
  struct Handle;
  const Options options_;
  std::atomic<bool> stopped_{false};
  std::unique_ptr<Handle> handle_;
};

// For a query: "a b/c" -> "a%20b%2Fc".
std::string UrlEncode(const std::string& text);

}  // namespace lockstep
