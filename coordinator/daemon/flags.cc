#include "coordinator/daemon/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/version.h"
#include "common/net/address.h"

namespace lockstep {
namespace {

constexpr char kExamples[] = R"(
Examples:
  lockstep-coordinator
      serve this machine on 127.0.0.1:7070, state in ~/.local/state/lockstep
  lockstep-coordinator --data-dir /var/lib/lockstep --artifact-root /shared/lockstep
      state on a local disk, checkpoints and models on storage that all workers see
  lockstep-coordinator --listen 0.0.0.0:7070 --insecure
      serve a trusted network, without TLS
  lockstep-coordinator --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --ready-fd 3
      any free ports; `grpc=HOST:PORT metrics=HOST:PORT` is written to descriptor 3 once serving

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 could not start, 2 wrong usage.
)";

std::string DefaultDataDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && state[0] == '/') {
    return absl::StrCat(state, "/lockstep");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr && home[0] == '/' ? home : "/tmp", "/.local/state/lockstep");
}

// CLI11 validator: "200ms", "2s", "1m30s".
std::string CheckDuration(const std::string& text) {
  absl::Duration value;
  if (absl::ParseDuration(text, &value) && value >= absl::Milliseconds(10) && value <= absl::Hours(1))
    return "";
  return absl::StrCat("'", text, "' is not a duration between 10ms and 1h; write it like 200ms or 2s");
}

std::string CheckAddress(const std::string& text) {
  if (text.empty()) return "";
  return std::string(ParseHostPort(text).status().message());
}

absl::Duration ToDuration(const std::string& text) {
  absl::Duration value;
  absl::ParseDuration(text, &value);
  return value;
}

}  // namespace

std::variant<Flags, Exit> ParseFlags(int argc, const char* const* argv) {
  Flags flags;
  flags.data_dir = DefaultDataDir();
  std::string heartbeat = "200ms";
  std::string timeout = "2s";

  CLI::App app("Queues Lockstep jobs and runs them on workers.", "lockstep-coordinator");
  app.footer(kExamples);
  app.set_version_flag("--version", absl::StrCat("lockstep-coordinator ", Version()));
  app.add_option("--data-dir", flags.data_dir, "where the state is kept; one coordinator per folder")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option(
         "--artifact-root", flags.artifact_root,
         "where checkpoints and models are kept; all workers must see it (default: DATA-DIR/artifacts)")
      ->type_name("DIR");
  app.add_option("--listen", flags.listen, "address of the API; port 0: any free one")
      ->type_name("HOST:PORT")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--metrics-listen", flags.metrics_listen, "address of /metrics; empty: none")
      ->type_name("HOST:PORT")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_flag("--insecure", flags.insecure, "allow addresses that other machines can reach, without TLS");
  app.add_option("--ready-fd", flags.ready_fd,
                 "descriptor to write `grpc=HOST:PORT metrics=HOST:PORT` to once serving")
      ->type_name("N")
      ->check(CLI::Range(3, 1 << 20).description(""));
  app.add_option("--log-level", flags.log_level, "debug, info, warning, error or off")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}).description(""))
      ->capture_default_str();
  app.add_option("--heartbeat-interval", heartbeat, "how often a worker reports")
      ->type_name("DURATION")
      ->check(CheckDuration)
      ->capture_default_str();
  app.add_option("--worker-timeout", timeout, "silence after which a worker is lost")
      ->type_name("DURATION")
      ->check(CheckDuration)
      ->capture_default_str();
  app.add_option(
         "--quarantine-after", flags.quarantine_after,
         "failures within an hour after which a worker gets no more work until `lockstep uncordon`; 0: never")
      ->type_name("N")
      ->check(CLI::Range(0, 1000000).description(""))
      ->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    return Exit{code == 0 ? 0 : 2, out.str(), err.str()};
  }
  flags.heartbeat_interval = ToDuration(heartbeat);
  flags.worker_timeout = ToDuration(timeout);
  if (flags.worker_timeout < 2 * flags.heartbeat_interval) {
    return Exit{
        2, "",
        absl::StrCat("--worker-timeout: ", timeout, " is less than two heartbeats (--heartbeat-interval ",
                     heartbeat, "); one late heartbeat would cost a worker\n")};
  }
  if (flags.data_dir.empty() || flags.listen.empty()) {
    return Exit{2, "", "--data-dir and --listen must not be empty\n"};
  }
  // Agents and trainers work elsewhere: every path that leaves this process is absolute.
  flags.data_dir = std::filesystem::absolute(flags.data_dir).lexically_normal();
  if (flags.artifact_root.empty()) flags.artifact_root = absl::StrCat(flags.data_dir, "/artifacts");
  flags.artifact_root = std::filesystem::absolute(flags.artifact_root).lexically_normal();
  return flags;
}

absl::Status CheckExposure(const Flags& flags) {
  if (flags.insecure) return absl::OkStatus();
  for (const auto& [flag, text] : {std::pair<const char*, const std::string&>{"--listen", flags.listen},
                                   {"--metrics-listen", flags.metrics_listen}}) {
    if (text.empty()) continue;
    ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(text));
    if (!IsLoopback(address.host)) {
      return absl::FailedPreconditionError(absl::StrCat(
          flag, " ", text,
          ": other machines can reach this address, and there is no TLS yet, so anyone who can would "
          "control this coordinator. Listen on 127.0.0.1, or give --insecure if the network is trusted"));
    }
  }
  return absl::OkStatus();
}

}  // namespace lockstep
