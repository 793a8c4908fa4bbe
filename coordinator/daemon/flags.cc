#include "coordinator/daemon/flags.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
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

std::string CheckAddress(const std::string& text) {
  if (text.empty()) return "";
  return std::string(ParseHostPort(text).status().message());
}

}  // namespace

std::variant<CoordinatorFlags, Exit> ParseFlags(int argc, const char* const* argv) {
  CoordinatorFlags flags;
  flags.data_dir = DefaultDataDir();
  CommandLine line("lockstep-coordinator", "Queues Lockstep jobs and runs them on workers.", kExamples);
  Flags& takes = line.flags();
  takes.Text("--data-dir", &flags.data_dir, "where the state is kept; one coordinator per folder", "DIR");
  takes.Text("--artifact-root", &flags.artifact_root,
             "where checkpoints and models are kept; all workers must see it (default: DATA-DIR/artifacts)",
             "DIR");
  takes.Text("--listen", &flags.listen, "address of the API; port 0: any free one", "HOST:PORT",
             CheckAddress);
  takes.Text("--metrics-listen", &flags.metrics_listen, "address of /metrics; empty: none", "HOST:PORT",
             CheckAddress);
  takes.Switch("--insecure", &flags.insecure, "allow addresses that other machines can reach, without TLS");
  takes.Number("--ready-fd", &flags.ready_fd, 3, 1 << 20,
               "descriptor to write `grpc=HOST:PORT metrics=HOST:PORT` to once serving");
  takes.Choice("--log-level", &flags.log_level, {"debug", "info", "warning", "error", "off"},
               "what is logged");
  const absl::Duration low = absl::Milliseconds(10), high = absl::Hours(1);
  takes.Time("--heartbeat-interval", &flags.heartbeat_interval, "how often a worker reports", low, high);
  takes.Time("--worker-timeout", &flags.worker_timeout, "silence after which a worker is lost", low, high);
  takes.Number(
      "--quarantine-after", &flags.quarantine_after, 0, 1000000,
      "failures within an hour after which a worker gets no more work until `lockstep uncordon`; 0: never");
  if (const auto exit = line.Parse(argc, argv)) return *exit;
  if (flags.worker_timeout < 2 * flags.heartbeat_interval) {
    return Exit{2, "",
                absl::StrCat("--worker-timeout: ", absl::FormatDuration(flags.worker_timeout),
                             " is less than two heartbeats (--heartbeat-interval ",
                             absl::FormatDuration(flags.heartbeat_interval),
                             "); one late heartbeat would cost a worker\n")};
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

absl::Status CheckExposure(const CoordinatorFlags& flags) {
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
