// What a client of the live page sends: the head's parser, and the router over what it took. Nothing is
// decoded, nothing runs that the table does not have, and no header of an answer breaks its line.
#include <algorithm>
#include <cstdint>
#include <string>

#include "common/http/http_parse.h"
#include "coordinator/http/router.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr int64_t kMostBody = 1000;

int handled = 0;

absl::StatusOr<lockstep::HttpResponse> Handle(const lockstep::HttpCall& call) {
  ++handled;
  for (const std::string& argument : call.arguments) {
    FUZZ_CHECK(!argument.empty() && argument.size() <= 64);
    FUZZ_CHECK(argument.find_first_of("./\\%") == std::string::npos);
  }
  const auto number = call.Number("after", 3);
  FUZZ_CHECK(!number.ok() || *number >= 0);
  FUZZ_CHECK(call.request.query.find(call.Text("tail")) != std::string::npos);
  lockstep::HttpResponse response;
  response.headers = {{"ETag", "\"7\""}};
  return response;
}

absl::StatusOr<lockstep::Scope> Guard(std::string_view authorization, lockstep::Role) {
  if (authorization != "Bearer strong") return absl::UnauthenticatedError("who are you?");
  return lockstep::Scope();
}

const lockstep::Router& PageRouter() {
  static const auto& router =
      *new lockstep::Router({}, &Guard,
                            {{"GET", "/", std::nullopt, &Handle},
                             {"GET", "/api/jobs/{}/logs", lockstep::Role::kViewer, &Handle},
                             {"POST", "/api/jobs/{}/cancel", lockstep::Role::kSubmitter, &Handle}});
  return router;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t end = bytes.find(kEndOfHead);
  const std::string head = end == std::string_view::npos
                               ? std::string(bytes) + std::string(kEndOfHead)
                               : std::string(bytes.substr(0, end + kEndOfHead.size()));
  const auto parsed = ParseHttpHead(head, kMostBody);
  if (!parsed.ok()) {
    FUZZ_CHECK(absl::IsInvalidArgument(parsed.status()) || absl::IsOutOfRange(parsed.status()));
    return 0;
  }
  const HttpRequest& request = parsed->request;
  FUZZ_CHECK(parsed->body_bytes >= 0 && parsed->body_bytes <= kMostBody);
  FUZZ_CHECK(request.path[0] == '/' && head.find(request.path) != std::string::npos);
  FUZZ_CHECK(!request.headers.contains("transfer-encoding") && request.headers.size() <= kMostHeaders);
  for (const auto& [name, value] : request.headers) {
    FUZZ_CHECK(value.find_first_of(std::string("\r\n\0", 3)) == std::string::npos);
  }
  handled = 0;
  const HttpResponse response = PageRouter().Handle(request);
  FUZZ_CHECK(handled == (response.status == 200 || response.status == 304));
  if (handled != 0 && request.path != "/") FUZZ_CHECK(request.Header("authorization") == "Bearer strong");
  FUZZ_CHECK(response.status >= 200 && response.status < 500);
  for (const auto& [name, value] : response.headers)
    FUZZ_CHECK(value.find_first_of("\r\n") == std::string::npos);
  return 0;
}
