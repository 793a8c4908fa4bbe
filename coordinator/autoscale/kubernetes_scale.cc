#include "coordinator/autoscale/kubernetes_scale.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/ascii.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

absl::StatusOr<std::string> ReadLine(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  std::string line = text.str();
  absl::StripAsciiWhitespace(&line);
  if (!in.good() || line.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot read ", path, ": is the service account's token mounted (automountServiceAccountToken)?"));
  }
  return line;
}

std::string InEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string KubernetesMessage(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("message") && json["message"].is_string()) {
    return json["message"].get<std::string>().substr(0, 500);
  }
  return body.substr(0, 200);
}

absl::StatusOr<KubernetesScale::Scale> ParseScale(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  const Json::json_pointer replicas("/spec/replicas"), version("/metadata/resourceVersion");
  if (!json.is_object() || !json.contains(version) || !json[version].is_string()) {
    return absl::UnavailableError(absl::StrCat("this is no Scale: ", body.substr(0, 200)));
  }
  KubernetesScale::Scale scale;
  scale.version = json[version].get<std::string>();
  if (!json.contains(replicas)) return scale;  // zero is left out
  const Json& number = json[replicas];
  if (!number.is_number_unsigned() || number.get<uint64_t>() > 1'000'000) {
    return absl::UnavailableError(absl::StrCat("no number of replicas: ", body.substr(0, 200)));
  }
  scale.replicas = number.get<int>();
  return scale;
}

absl::StatusOr<std::unique_ptr<KubernetesScale>> KubernetesScale::Open(const KubernetesOptions& options) {
  std::string server = options.server;
  if (server.empty()) {
    std::string host = InEnvironment("KUBERNETES_SERVICE_HOST");
    const std::string port = InEnvironment("KUBERNETES_SERVICE_PORT");
    if (host.empty() || port.empty()) {
      return absl::FailedPreconditionError(
          "--autoscale kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: is this "
          "a "
          "pod?");
    }
    if (host.find(':') != std::string::npos) host = absl::StrCat("[", host, "]");
    server = absl::StrCat("https://", host, ":", port);
  }
  ASSIGN_OR_RETURN(const std::string space, ReadLine(options.credentials + "/namespace"));
  RETURN_IF_ERROR(ReadLine(options.credentials + "/token").status());
  RETURN_IF_ERROR(ReadLine(options.credentials + "/ca.crt").status());
  std::string url = absl::StrCat(server, "/apis/apps/v1/namespaces/", UrlEncode(space), "/statefulsets/",
                                 UrlEncode(options.stateful_set), "/scale");
  return std::unique_ptr<KubernetesScale>(new KubernetesScale(std::move(url), options));
}

KubernetesScale::KubernetesScale(std::string url, const KubernetesOptions& options)
    : url_(std::move(url)),
      token_file_(options.credentials + "/token"),
      http_({.timeout = absl::Seconds(10), .ca_file = options.credentials + "/ca.crt"}) {}

absl::StatusOr<KubernetesScale::Scale> KubernetesScale::Get() { return Call("GET", ""); }

absl::Status KubernetesScale::Set(const Scale& was, int replicas) {
  const Json patch = {{"metadata", {{"resourceVersion", was.version}}}, {"spec", {{"replicas", replicas}}}};
  return Call("PATCH", patch.dump()).status();
}

absl::StatusOr<KubernetesScale::Scale> KubernetesScale::Call(const std::string& method,
                                                             const std::string& body) {
  ASSIGN_OR_RETURN(const std::string token, ReadLine(token_file_));
  HttpClient::Request request{
      method, url_, body, {"Authorization: Bearer " + token, "Accept: application/json"}};
  if (!body.empty()) request.headers.push_back("Content-Type: application/merge-patch+json");
  ASSIGN_OR_RETURN(const HttpClient::Response response, http_.Do(request));
  const std::string said =
      absl::StrCat(method, " ", url_, ": ", response.status, ": ", KubernetesMessage(response.body));
  if (response.status == 401 || response.status == 403) {
    return absl::PermissionDeniedError(
        absl::StrCat(said, "; the service account needs get and patch on statefulsets/scale"));
  }
  if (response.status == 404) return absl::NotFoundError(said);
  if (response.status == 409) return absl::AbortedError(said);
  if (response.status != 200) return absl::UnavailableError(said);
  return ParseScale(response.body);
}

}  // namespace lockstep
