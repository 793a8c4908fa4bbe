#include "coordinator/daemon/flags.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/address.h"
#include "coordinator/http/declarations.h"

namespace lockstep {
namespace {

constexpr char kExamples[] = R"(
Examples:
  lockstep-coordinator
      serve this machine on 127.0.0.1:7070, state in ~/.local/state/lockstep, live page on http://localhost:7073
  lockstep-coordinator --data-dir /var/lib/lockstep --artifact-root /shared/lockstep
      state on a local disk, checkpoints and models on storage that all workers see
  lockstep-coordinator --listen 0.0.0.0:7070 --tls-cert server.pem --tls-key server.key --tls-client-ca ca.pem
      serve other machines by TLS: clients need a certificate from ca.pem, and a token (docs/security.md)
  lockstep-coordinator --listen 0.0.0.0:7070 --insecure
      serve a trusted network, without TLS and tokens
  lockstep-coordinator --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --ready-fd 3
      any free ports; `grpc=HOST:PORT metrics=HOST:PORT http=HOST:PORT` is written to descriptor 3 once serving

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

// What whoever reaches this address could do, and what to do about it.
std::string WhatIsAtRisk(std::string_view flag) {
  if (flag == "--listen") {
    return "anyone who can would control this coordinator. Give --tls-cert and --tls-key, listen on "
           "127.0.0.1,";
  }
  return "what the page shows, and the tokens that are given to it, could be read on the way. Give "
         "--http-tls-cert and --http-tls-key, listen on 127.0.0.1,";
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
  takes.Texts(
      "--data-root", &flags.data_roots,
      "clients may name files below this folder and --artifact-root alone, may be given again; default: "
      "anywhere on loopback without tokens, else DATA-DIR/datasets",
      "DIR");
  takes.Text("--listen", &flags.listen, "address of the API; port 0: any free one", "HOST:PORT",
             CheckAddress);
  flags.metrics.Declare(&takes);
  takes.Text("--http-listen", &flags.http_listen, "address of the live page; empty: none", "HOST:PORT",
             CheckAddress);
  takes.Text("--http-tls-cert", &flags.http_tls.cert,
             "certificate of the live page, PEM; default: off loopback that of the API", "FILE");
  takes.Text("--http-tls-key", &flags.http_tls.key, "its private key, PEM", "FILE");
  takes.Text("--tls-cert", &flags.tls.cert, "certificate of the API, PEM; taken up anew when it changes",
             "FILE");
  takes.Text("--tls-key", &flags.tls.key, "its private key, PEM", "FILE");
  takes.Text("--tls-client-ca", &flags.tls.ca, "clients must show a certificate of this authority, PEM",
             "FILE");
  takes.Switch(
      "--auth", &flags.auth,
      "ask for tokens on loopback, too; where other machines reach the API by TLS they are always needed");
  takes.Number("--calls-per-second", &flags.calls_per_second, 1, 1000000,
               "that one token may make; twice as many at once");
  takes.Number(
      "--audit-file-mib", &flags.audit_file_mib, 1, 1 << 20,
      "MiB of DATA-DIR/audit.log, after which it becomes audit.log.1 (.2, ...) and a new one is begun");
  takes.Number("--max-connections", &flags.max_connections, 1, 1000000,
               "to the API; more are closed, and the open ones go on");
  takes.Number("--max-connections-per-peer", &flags.max_connections_per_peer, 1, 1000000,
               "to the API from one address (IPv6: from one /64)");
  takes.Text("--health-listen", &flags.health_listen,
             "address of gRPC health checks alone, without TLS, for probes; empty: none", "HOST:PORT",
             CheckAddress);
  takes.Switch(
      "--insecure", &flags.insecure,
      "allow addresses that other machines can reach without TLS: /metrics (without a token, too), the page, "
      "and without --tls-cert the API");
  takes.Number("--ready-fd", &flags.ready_fd, 3, 1 << 20,
               "descriptor to write `grpc=HOST:PORT metrics=HOST:PORT http=HOST:PORT` to once serving");
  takes.Choice("--log-level", &flags.log_level, {"debug", "info", "warning", "error", "off"},
               "what is logged");
  const absl::Duration low = absl::Milliseconds(10), high = absl::Hours(1);
  takes.Time("--heartbeat-interval", &flags.heartbeat_interval, "how often a worker reports", low, high);
  takes.Time("--worker-timeout", &flags.worker_timeout, "silence after which a worker is lost", low, high);
  takes.Number(
      "--quarantine-after", &flags.quarantine_after, 0, 1000000,
      "failures within an hour after which a worker gets no more work until `lockstep uncordon`; 0: never");
  takes.Switch("--allow-chaos", &flags.allow_chaos,
               "let `lockstep chaos` do faults, on workers that were started with it as well; for tests");
  takes.Text("--tensorboard-dir", &flags.tracking.tensorboard_dir,
             "write each job's metric points for TensorBoard below this folder", "DIR");
  takes.Text("--mlflow", &flags.tracking.mlflow,
             "send each job's spec and metric points to this MLflow tracking server", "URL");
  takes.Text("--mlflow-experiment", &flags.tracking.mlflow_experiment, "the experiment that runs belong to",
             "NAME");
  takes.Text("--autoscale", &flags.autoscale.cluster,
             "`kubernetes`: set how many workers there are by what jobs want; it runs in a pod", "CLUSTER");
  takes.Text("--autoscale-set", &flags.autoscale.kubernetes.stateful_set, "the workers' StatefulSet", "NAME");
  takes.Text("--autoscale-credentials", &flags.autoscale.kubernetes.credentials,
             "the service account: token, ca.crt, namespace", "DIR");
  takes.Number("--autoscale-min", &flags.autoscale.limits.floor, 0, 10000, "never fewer workers");
  takes.Number("--autoscale-max", &flags.autoscale.limits.ceiling, 0, 10000, "never more workers");
  takes.Time("--autoscale-cooldown", &flags.autoscale.limits.cooldown,
             "fewer workers only once no more were wanted for so long", absl::Seconds(1), absl::Hours(24));
  bool print_metrics = false;
  takes.Switch("--print-metrics", &print_metrics, "print what /metrics has, in Markdown, and exit");
  if (const auto exit = line.Parse(argc, argv)) return *exit;
  if (print_metrics) return Exit{0, DescribeDaemon("lockstep-coordinator", CoordinatorMetrics()), ""};
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
  if (std::string& folder = flags.tracking.tensorboard_dir; !folder.empty()) {
    folder = std::filesystem::absolute(folder).lexically_normal();
  }
  if (const std::string& url = flags.tracking.mlflow;
      !url.empty() && !absl::StartsWith(url, "http://") && !absl::StartsWith(url, "https://")) {
    return Exit{2, "", absl::StrCat("--mlflow: expected http://HOST:PORT or https://..., got '", url, "'\n")};
  }
  const AutoscaleOptions& autoscale = flags.autoscale;
  if (!autoscale.cluster.empty() && autoscale.cluster != "kubernetes") {
    return Exit{2, "", absl::StrCat("--autoscale: expected kubernetes, got '", autoscale.cluster, "'\n")};
  }
  if (!autoscale.cluster.empty() &&
      (autoscale.limits.ceiling < 1 || autoscale.limits.ceiling < autoscale.limits.floor)) {
    return Exit{2, "", "--autoscale-max: expected at least 1, and at least --autoscale-min\n"};
  }
  return flags;
}

absl::Status CheckExposure(const CoordinatorFlags& flags) {
  RETURN_IF_ERROR(CheckTlsFiles(flags.tls, {.ca = "--tls-client-ca"}, absl::Now()));
  RETURN_IF_ERROR(
      CheckTlsFiles(flags.http_tls, {.cert = "--http-tls-cert", .key = "--http-tls-key"}, absl::Now()));
  RETURN_IF_ERROR(flags.metrics.Check(flags.insecure, absl::Now()));
  if (!flags.tls.ca.empty() && flags.tls.cert.empty()) {
    return absl::InvalidArgumentError(
        "--tls-client-ca asks clients for certificates, which needs TLS: give --tls-cert and --tls-key as "
        "well");
  }
  for (const auto& [flag, text] : {std::pair<const char*, const std::string&>{"--listen", flags.listen},
                                   {"--http-listen", flags.http_listen}}) {
    if (text.empty()) continue;
    ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(text));
    if (IsLoopback(address.host)) continue;
    const bool api = &text == &flags.listen;
    const bool page = &text == &flags.http_listen;
    if (api && !flags.tls.cert.empty()) continue;
    if (page && !PageTls(flags).empty()) continue;
    if (!flags.insecure) {
      return absl::FailedPreconditionError(
          absl::StrCat(flag, " ", text, ": other machines can reach this address, and it is without TLS, so ",
                       WhatIsAtRisk(flag), " or give --insecure if the network is trusted"));
    }
    if (page && NeedsTokens(flags)) {
      return absl::FailedPreconditionError(
          absl::StrCat(flag, " ", text,
                       ": the live page asks for tokens, which would cross the network for all to read; give "
                       "--http-tls-cert and --http-tls-key, listen on 127.0.0.1, or give an empty "
                       "--http-listen"));
    }
    if (api && flags.auth) {
      return absl::FailedPreconditionError(absl::StrCat(
          "--auth with ", flag, " ", text,
          " and without TLS would send tokens across the network for all to read; give --tls-cert and "
          "--tls-key, or leave --auth out"));
    }
  }
  return absl::OkStatus();
}

TlsFiles PageTls(const CoordinatorFlags& flags) {
  if (!flags.http_tls.cert.empty()) return flags.http_tls;
  const auto address = ParseHostPort(flags.http_listen);
  if (!address.ok() || IsLoopback(address->host)) return {};
  return {.ca = "", .cert = flags.tls.cert, .key = flags.tls.key};
}

bool NeedsTokens(const CoordinatorFlags& flags) {
  if (flags.auth) return true;
  const auto address = ParseHostPort(flags.listen);
  return !flags.tls.cert.empty() && address.ok() && !IsLoopback(address->host);
}

}  // namespace lockstep
