#include "common/http/http_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/http/http_error.h"
#include "common/http/http_parse.h"

namespace lockstep {
namespace {

constexpr absl::Duration kLinger = absl::Seconds(1);

const char* PhraseOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return status < 500 ? "Error" : "Internal Server Error";
  }
}

std::string Bytes(const HttpResponse& response, bool head) {
  std::string bytes = absl::StrCat("HTTP/1.1 ", response.status, " ", PhraseOf(response.status),
                                   "\r\nConnection: close\r\nContent-Length: ", response.body.size(), "\r\n");
  if (response.status != 304) absl::StrAppend(&bytes, "Content-Type: ", response.type, "\r\n");
  for (const auto& [name, value] : response.headers) absl::StrAppend(&bytes, name, ": ", value, "\r\n");
  bytes += "\r\n";
  if (!head) bytes += response.body;
  return bytes;
}

// Reads up to the end of the head; what came after it goes to `body`. Empty: there is no whole head in time;
// longer than `most`: nor will there be one.
std::string ReadHead(size_t most, absl::Time deadline, SocketStream* stream, std::string* body) {
  std::string bytes;
  char buffer[4096];
  for (size_t looked = 0;;) {
    const size_t got = stream->Read(buffer, sizeof buffer, deadline);
    if (got == 0) return "";
    bytes.append(buffer, got);
    if (const size_t end = bytes.find(kEndOfHead, looked); end != std::string::npos) {
      *body = bytes.substr(end + kEndOfHead.size());
      bytes.resize(end + kEndOfHead.size());
      return bytes;
    }
    if (bytes.size() > most) return bytes;
    looked = bytes.size() < kEndOfHead.size() ? 0 : bytes.size() - kEndOfHead.size() + 1;
  }
}

// The whole body; false: it did not come in time.
bool ReadBody(size_t bytes, absl::Time deadline, SocketStream* stream, std::string* body) {
  if (body->size() > bytes) body->resize(bytes);
  char buffer[4096];
  while (body->size() < bytes) {
    const size_t got = stream->Read(buffer, std::min(sizeof buffer, bytes - body->size()), deadline);
    if (got == 0) return false;
    body->append(buffer, got);
  }
  return true;
}

}  // namespace

void ServeOnce(const HttpServer::Options& options, const HttpHandler& handler, const std::string& peer,
               SocketStream* stream) {
  const absl::Time deadline = absl::Now() + options.request_timeout;
  if (!stream->Handshake(deadline)) return;
  const auto answer = [&](const HttpResponse& response, bool head) {
    stream->Write(Bytes(response, head), absl::Now() + options.answer_timeout);
    stream->Finish(absl::Now() + kLinger);
  };
  std::string body;
  const std::string head = ReadHead(options.most_header_bytes, deadline, stream, &body);
  if (head.empty()) return;
  if (head.size() > options.most_header_bytes) {
    HttpResponse response = ErrorResponse(absl::OutOfRangeError(
        absl::StrCat("the headers are larger than ", options.most_header_bytes, " bytes")));
    response.status = 431;
    return answer(response, false);
  }
  absl::StatusOr<HttpHead> parsed = ParseHttpHead(head, options.most_body_bytes);
  if (!parsed.ok()) return answer(ErrorResponse(parsed.status()), false);
  if (parsed->expects_continue && parsed->body_bytes > 0 &&
      !stream->Write("HTTP/1.1 100 Continue\r\n\r\n", deadline)) {
    return;
  }
  if (!ReadBody(static_cast<size_t>(parsed->body_bytes), deadline, stream, &body)) return;
  HttpRequest& request = parsed->request;
  request.body = std::move(body);
  request.peer = peer;
  answer(handler(request), request.method == "HEAD");
}

}  // namespace lockstep
