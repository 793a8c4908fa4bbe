#include "common/http/http_parse.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace lockstep {
namespace {

constexpr size_t kLongestMethod = 16;

bool IsVisible(char c) { return c > 0x20 && c < 0x7f; }

bool IsToken(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsText(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }

bool MayRepeat(std::string_view name) { return name == "accept" || name == "cookie" || name == "via"; }

absl::Status Refuse(std::string_view why) { return absl::InvalidArgumentError(std::string(why)); }

// Cuts the text before `end` off `*rest`; false: there is no `end`.
bool CutAt(std::string_view end, std::string_view* rest, std::string_view* text) {
  const size_t at = rest->find(end);
  if (at == std::string_view::npos) return false;
  *text = rest->substr(0, at);
  rest->remove_prefix(at + end.size());
  return true;
}

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

absl::Status ParseLine(std::string_view line, HttpRequest* request, bool* newer) {
  std::string_view method, target;
  if (!CutAt(" ", &line, &method) || !CutAt(" ", &line, &target)) {
    return Refuse("the first line is not a request");
  }
  if (line != "HTTP/1.1" && line != "HTTP/1.0") return Refuse("this is not HTTP/1.1");
  if (method.empty() || method.size() > kLongestMethod ||
      !std::all_of(method.begin(), method.end(), IsToken)) {
    return Refuse("the method is not a word");
  }
  if (target.empty() || target[0] != '/' || !std::all_of(target.begin(), target.end(), IsVisible)) {
    return Refuse("the target is not a path");
  }
  *newer = line == "HTTP/1.1";
  request->method = std::string(method);
  const size_t query = target.find('?');
  request->path = std::string(target.substr(0, query));
  if (query != std::string_view::npos) request->query = std::string(target.substr(query + 1));
  return absl::OkStatus();
}

absl::Status ParseHeader(std::string_view line, HttpRequest* request) {
  std::string_view name;
  if (!CutAt(":", &line, &name) || name.empty() || !std::all_of(name.begin(), name.end(), IsToken)) {
    return Refuse("a header has no name");
  }
  if (!std::all_of(line.begin(), line.end(), IsText)) return Refuse("a header has a control character");
  const std::string key = absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
  if (request->headers.emplace(key, std::string(Trim(line))).second || MayRepeat(key))
    return absl::OkStatus();
  return Refuse(absl::StrCat("the header ", key, " is there twice"));
}

absl::StatusOr<int64_t> BodyBytes(const HttpRequest& request, int64_t most) {
  if (request.headers.contains("transfer-encoding")) return Refuse("send the body with a Content-Length");
  const auto found = request.headers.find("content-length");
  if (found == request.headers.end()) return 0;
  const std::string& text = found->second;
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) {
    return Refuse("the Content-Length is not a number");
  }
  int64_t bytes = 0;
  for (const char digit : text) {
    bytes = bytes * 10 + (digit - '0');
    if (bytes > most) {
      return absl::OutOfRangeError(absl::StrCat("the body is larger than ", most, " bytes"));
    }
  }
  return bytes;
}

}  // namespace

absl::StatusOr<HttpHead> ParseHttpHead(std::string_view head, int64_t most_body_bytes) {
  HttpHead parsed;
  std::string_view line;
  bool newer = false;
  if (!CutAt("\r\n", &head, &line)) return Refuse("the first line does not end");
  RETURN_IF_ERROR(ParseLine(line, &parsed.request, &newer));
  for (size_t headers = 0; CutAt("\r\n", &head, &line) && !line.empty(); ++headers) {
    if (headers == kMostHeaders) return Refuse("too many headers");
    RETURN_IF_ERROR(ParseHeader(line, &parsed.request));
  }
  if (newer && !parsed.request.headers.contains("host")) return Refuse("there is no Host");
  ASSIGN_OR_RETURN(parsed.body_bytes, BodyBytes(parsed.request, most_body_bytes));
  const std::string expects = absl::AsciiStrToLower(parsed.request.Header("expect"));
  if (!expects.empty() && expects != "100-continue") return Refuse("Expect: only 100-continue is known");
  parsed.expects_continue = !expects.empty();
  return parsed;
}

}  // namespace lockstep
