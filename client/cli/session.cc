#include "client/cli/session.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "client/render/proto_json.h"
#include "common/spec/message_text.h"

namespace lockstep {
namespace {

bool IsUtf8(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = absl::AsciiStrToLower(environment.variable(name));
    if (!value.empty()) return absl::StrContains(value, "utf-8") || absl::StrContains(value, "utf8");
  }
  return false;
}

Style MakeStyle(const Environment& environment, bool is_terminal) {
  Style style;
  style.unicode = IsUtf8(environment);
  style.color =
      is_terminal && environment.variable("NO_COLOR").empty() && environment.variable("TERM") != "dumb";
  style.width = environment.terminal_width;
  return style;
}

}  // namespace

Session::Session(const Environment& environment, const GlobalOptions& options)
    : environment_(environment),
      options_(options),
      out_style_(MakeStyle(environment, environment.out_is_terminal)),
      err_style_(MakeStyle(environment, environment.err_is_terminal)),
      live_(environment.err_is_terminal && environment.variable("TERM") != "dumb") {}

Client& Session::client() {
  if (client_ == nullptr) client_ = MakeClient(options_.coordinator, &interrupted_);
  return *client_;
}

std::unique_ptr<Client> Session::MakeClient(const std::string& address, Cancellation* cancellation) {
  Client::Options options;
  options.address = address;
  if (address == options_.coordinator) {  // a local cluster has neither
    options.tls = options_.access.tls;
    options.token = options_.token;
    options.space = options_.space;
  }
  options.connect_timeout = options_.connect_timeout;
  options.cancellation = cancellation;
  options.on_waiting = [this, address] {
    err() << "waiting for the coordinator at " << address << " ..." << std::endl;
  };
  return std::make_unique<Client>(std::move(options));
}

void Session::Print(const google::protobuf::Message& message, const std::string& table) {
  out() << (options_.format == "json"   ? ProtoJson(message)
            : options_.format == "yaml" ? MessageToYaml(message)
                                        : table)
        << std::flush;
}

void Session::PrintItem(const google::protobuf::Message& message, const std::string& table) {
  out() << (options_.format == "json"   ? ProtoJson(message, /*compact=*/true)
            : options_.format == "yaml" ? "---\n" + MessageToYaml(message)
                                        : table)
        << std::flush;
}

void Session::Interrupt() {
  if (interrupted_.cancelled()) terminated_.Cancel();
  interrupted_.Cancel();
}

}  // namespace lockstep
