// One table of routes, and what holds for all of them: who may call what is decided before a handler runs, a
// request that a foreign site made its reader's browser send is refused, and each answer carries the headers
// that keep a browser from doing more with it than the page asks for.
//
//   Host known? -> path in the table? -> method? -> same site, JSON (POST alone) -> guard(role) -> handler
//
// Thread-safe, if the guard and the handlers are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/auth/role.h"
#include "common/base/status.h"
#include "common/http/http_message.h"
#include "coordinator/namespaces/scope.h"

namespace lockstep {

// What who sent this Authorization header (empty: none) may see, if it may do what needs `needed`.
// UNAUTHENTICATED: nobody that is known. PERMISSION_DENIED: somebody, but not one who may.
using HttpGuard = std::function<absl::StatusOr<Scope>(std::string_view authorization, Role needed)>;

// Told of every request that was to change something, before it is answered: what stood for each {} of its
// path, and what came of it, also where it was not let in. Returns when that is noted.
using HttpNote = std::function<void(const HttpRequest& request, const std::vector<std::string>& arguments,
                                    const absl::Status& outcome)>;

struct HttpCall {
  const HttpRequest& request;
  std::vector<std::string> arguments;  // what stood for each {} of the pattern
  Scope scope = {};                    // what the caller may see

  // A number of the query; `otherwise` where there is none. INVALID_ARGUMENT: not a number from 0 on.
  absl::StatusOr<int64_t> Number(std::string_view name, int64_t otherwise) const;
  std::string Text(std::string_view name) const;  // a value of the query as it was sent; empty: none
};

struct HttpRoute {
  std::string method;          // GET also answers HEAD
  std::string pattern;         // "/api/jobs/{}/logs"; {}: 1 to 64 letters, digits, - or _
  std::optional<Role> needed;  // empty: anybody, for what everybody has anyway (the page's own files)
  std::function<absl::StatusOr<HttpResponse>(const HttpCall&)> handler;
};

class Router {
 public:
  struct Options {
    bool loopback_hosts_only =
        true;       // else a name that an attacker points at 127.0.0.1 would be our own site
    HttpNote note;  // empty: nobody is told
  };

  Router(const Options& options, HttpGuard guard, std::vector<HttpRoute> routes);

  HttpResponse Handle(const HttpRequest& request) const;
  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  absl::StatusOr<HttpResponse> Dispatch(const HttpRequest& request) const;
  absl::StatusOr<HttpResponse> Call(const HttpRoute& route, HttpCall* call) const;

  const Options options_;
  const HttpGuard guard_;
  const std::vector<HttpRoute> routes_;
};

// Nobody but this machine reaches the address, which is one that ParseHostPort takes, or empty.
bool ServesLoopbackAlone(const std::string& listen);

}  // namespace lockstep
