// A request and a response, apart from any web server.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

struct HttpRequest {
  std::string method;
  std::string path;                            // as it was sent, without the query: nothing is decoded
  std::string query;                           // "after=12&limit=5"
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string peer;  // "10.0.0.7:51234"

  // Empty: not sent.
  std::string Header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace lockstep
