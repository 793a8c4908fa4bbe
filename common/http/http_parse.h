// The head of an HTTP/1.x request from outside bytes (RFC 9112), more strictly than the rules ask for: what
// two readers could take for two things is refused. No folded lines, no bare line feeds, no header twice, no
// Transfer-Encoding, no whole URL as the target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/http/http_message.h"

namespace lockstep {

inline constexpr std::string_view kEndOfHead = "\r\n\r\n";
inline constexpr size_t kMostHeaders = 64;

struct HttpHead {
  HttpRequest request;  // without body and peer
  int64_t body_bytes = 0;
  bool expects_continue = false;  // it sends its body once it is told so
};

// `head` ends with kEndOfHead, which is nowhere else in it. INVALID_ARGUMENT: what is wrong; OUT_OF_RANGE:
// the body is larger than `most_body_bytes`.
absl::StatusOr<HttpHead> ParseHttpHead(std::string_view head, int64_t most_body_bytes);

}  // namespace lockstep
