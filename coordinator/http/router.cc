#include "coordinator/http/router.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/http/http_error.h"
#include "common/net/address.h"

namespace lockstep {
namespace {

constexpr size_t kLongestArgument = 64;

bool IsArgument(absl::string_view text) {
  if (text.empty() || text.size() > kLongestArgument) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
  }
  return true;
}

std::optional<std::vector<std::string>> Match(const std::string& pattern, const std::string& path) {
  const std::vector<absl::string_view> wanted = absl::StrSplit(pattern, '/');
  const std::vector<absl::string_view> got = absl::StrSplit(path, '/');
  if (wanted.size() != got.size()) return std::nullopt;
  std::vector<std::string> arguments;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{}") {
      if (!IsArgument(got[i])) return std::nullopt;
      arguments.emplace_back(got[i]);
    } else if (wanted[i] != got[i]) {
      return std::nullopt;
    }
  }
  return arguments;
}

std::string HostOf(absl::string_view authority) {
  const std::string text(authority);
  if (absl::StartsWith(text, "[")) return text.substr(1, text.find(']') - 1);
  return text.substr(0, text.find(':'));
}

// A browser says with these headers which site a request comes from; other programs send none of them.
absl::Status CheckSameSite(const HttpRequest& request) {
  const std::string site = request.Header("sec-fetch-site");
  const std::string origin = request.Header("origin");
  const bool foreign = (!site.empty() && site != "same-origin" && site != "none") ||
                       (!origin.empty() && origin != absl::StrCat("http://", request.Header("host")) &&
                        origin != absl::StrCat("https://", request.Header("host")));
  if (!foreign) return absl::OkStatus();
  return absl::PermissionDeniedError("another site must not change anything here");
}

absl::Status CheckJson(const HttpRequest& request) {
  const std::string type = request.Header("content-type");
  const std::string media =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(absl::string_view(type).substr(0, type.find(';'))));
  if (media == "application/json") return absl::OkStatus();
  return absl::InvalidArgumentError("send Content-Type: application/json");
}

}  // namespace

bool ServesLoopbackAlone(const std::string& listen) {
  const auto address = ParseHostPort(listen);
  return !address.ok() || IsLoopback(address->host);
}

std::string HttpCall::Text(std::string_view name) const {
  for (const absl::string_view pair : absl::StrSplit(request.query, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (parts.first == absl::string_view(name.data(), name.size())) return std::string(parts.second);
  }
  return "";
}

absl::StatusOr<int64_t> HttpCall::Number(std::string_view name, int64_t otherwise) const {
  const std::string text = Text(name);
  if (text.empty()) return otherwise;
  int64_t value = 0;
  if (absl::SimpleAtoi(text, &value) && value >= 0) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("query: ", std::string(name), " is not a whole number from 0 on"));
}

Router::Router(const Options& options, HttpGuard guard, std::vector<HttpRoute> routes)
    : options_(options), guard_(std::move(guard)), routes_(std::move(routes)) {}

absl::StatusOr<HttpResponse> Router::Call(const HttpRoute& route, HttpCall* call) const {
  if (route.method != "GET") {
    RETURN_IF_ERROR(CheckSameSite(call->request));
    RETURN_IF_ERROR(CheckJson(call->request));
  }
  if (route.needed.has_value()) {
    ASSIGN_OR_RETURN(call->scope, guard_(call->request.Header("authorization"), *route.needed));
  }
  return route.handler(*call);
}

absl::StatusOr<HttpResponse> Router::Dispatch(const HttpRequest& request) const {
  if (options_.loopback_hosts_only && !IsLoopback(HostOf(request.Header("host")))) {
    return absl::PermissionDeniedError(
        "this address serves its own machine alone: open it as localhost or 127.0.0.1");
  }
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (const HttpRoute& route : routes_) {
    auto arguments = Match(route.pattern, request.path);
    if (!arguments.has_value()) continue;
    if (route.method != method) {
      absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", route.method);
      continue;
    }
    HttpCall call{request, *std::move(arguments)};
    auto answer = Call(route, &call);
    if (method != "GET" && options_.note) options_.note(request, call.arguments, answer.status());
    return answer;
  }
  if (allowed.empty()) return absl::NotFoundError("there is no such page");
  HttpResponse response = ErrorResponse(absl::UnimplementedError("this page takes " + allowed + " alone"));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

HttpResponse Router::Handle(const HttpRequest& request) const {
  auto answer = Dispatch(request);
  HttpResponse response = answer.ok() ? *std::move(answer) : ErrorResponse(answer.status());
  bool has_cache_control = false;
  for (const auto& [name, value] : response.headers) {
    has_cache_control |= name == "Cache-Control";
    if (name != "ETag" || response.status != 200 || request.Header("if-none-match") != value) continue;
    response.status = 304;
    response.body.clear();
  }
  if (!has_cache_control) response.headers.emplace_back("Cache-Control", "no-store");
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
            "'script'"},
           {"X-Content-Type-Options", "nosniff"},
           {"X-Frame-Options", "DENY"},
           {"Referrer-Policy", "no-referrer"},
           {"Cross-Origin-Opener-Policy", "same-origin"},
           {"Cross-Origin-Resource-Policy", "same-origin"}}) {
    response.headers.emplace_back(name, value);
  }
  return response;
}

}  // namespace lockstep
