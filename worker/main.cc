// lockstep-worker: the agent of one node.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/flags/command_line.h"
#include "common/logging/logging.h"
#include "common/metrics/metrics_access.h"
#include "common/metrics/metrics_server.h"
#include "common/net/address.h"
#include "common/paths/path_fence.h"
#include "worker/agent/agent.h"
#include "worker/agent/declarations.h"

namespace lockstep {
namespace {

constexpr char kExamples[] = R"(Examples:
  lockstep-worker                                     join the coordinator on this machine: its GPUs, or where there are none a trainer per core
  lockstep-worker --cpu-slots 2 --name second --metrics-listen ""
                                                      another worker on this machine, under a name of its own
  lockstep-worker --gpus 2 --cpu-slots 4              two of this machine's GPUs, and four slots on its cores
  lockstep-worker --coordinator 10.0.0.5:7070 --insecure --advertise-host 10.0.0.7
                                                      join a coordinator on another node, on a trusted network
  lockstep-worker --coordinator 10.0.0.5:7070 --tls-ca ca.pem --tls-cert node-1.pem --tls-key node-1.key --token-file token
                                                      the same by TLS, with a certificate and a token
  lockstep-worker --metrics-listen 127.0.0.1:0        any free port for /metrics

SIGTERM drains: work is taken away, then the worker exits. A second one exits at once.)";

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

std::string DefaultDataDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return absl::StrCat(state, "/lockstep-worker");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr && *home != '\0' ? home : "/tmp", "/.local/state/lockstep-worker");
}

std::string BesideThisProgram(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

absl::Status CheckName(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (plain && !name.empty() && name.size() <= 63) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--name '", name, "': expected 1 to 63 letters, digits, '.', '-' or '_', such as node-1"));
}

struct WorkerFlags {
  Agent::Options agent;
  std::string gpus = "auto";
  int cpu_slots = 0, threads_per_slot = 0;  // 0: not given
  MetricsAccess metrics = {.listen = "127.0.0.1:7072", .tls = {}, .token_file = ""};
  bool insecure = false;
  std::vector<std::string> data_roots;
  std::string log_level = "info";
  int ready_fd = -1;
};

absl::Status CheckExposure(const WorkerFlags& flags, const HostPort& coordinator) {
  const ClientAccess& access = flags.agent.access;
  if (!access.tls.empty() || IsLoopback(coordinator.host)) return absl::OkStatus();
  const std::string head =
      absl::StrCat("--coordinator ", flags.agent.coordinator, ": this is another machine, and ");
  if (!access.token.empty() || !access.token_file.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(head, "without TLS whoever is on the way could read the token; give --tls-ca"));
  }
  if (flags.insecure) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(head,
                                                    "without TLS anyone on the way can give this worker "
                                                    "orders. Give --tls-ca, or --insecure if the network "
                                                    "is trusted"));
}

absl::Status Check(const WorkerFlags& flags) {
  RETURN_IF_ERROR(CheckName(flags.agent.name));
  const auto coordinator = ParseHostPort(flags.agent.coordinator);
  RETURN_IF_ERROR(Annotate(coordinator.status(), "--coordinator"));
  RETURN_IF_ERROR(CheckExposure(flags, *coordinator));
  RETURN_IF_ERROR(flags.metrics.Check(flags.insecure, absl::Now()));
  std::error_code error;
  std::filesystem::create_directories(flags.agent.data_dir, error);
  if (error || ::access(flags.agent.data_dir.c_str(), W_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--data-dir ", flags.agent.data_dir, " cannot be written",
                     error ? absl::StrCat(": ", error.message()) : "", "; choose another folder"));
  }
  return absl::OkStatus();
}

// Clients of a coordinator elsewhere name files that this machine has as well, perhaps with something else in
// them: unless folders for them are given, such a worker reads its own copies alone.
absl::Status FenceReads(const WorkerFlags& flags) {
  ASSIGN_OR_RETURN(const HostPort coordinator, ParseHostPort(flags.agent.coordinator));
  if (flags.data_roots.empty() && IsLoopback(coordinator.host)) return absl::OkStatus();
  ASSIGN_OR_RETURN(PathFence fence, PathFence::Around(flags.data_roots, "--data-root"));
  SetReadFence(std::move(fence));
  return absl::OkStatus();
}

// Writes all of `text`, in one go for a pipe.
void Tell(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    LogWarning("cannot write to --ready-fd", {{"fd", fd}});
  }
  ::close(fd);
}

int Fail(const absl::Status& status) {
  LogError("lockstep-worker cannot go on", {{"error", status.message()}});
  return 1;
}

// The slots, and the threads of each: where there are GPUs, the cores feed them unless slots on cores are
// asked for.
absl::Status ChooseSlots(const WorkerFlags& flags, Agent::Options* options) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  ASSIGN_OR_RETURN(options->gpus, ChooseGpus(flags.gpus, CudaMajorOfThisBuild()));
  const std::vector<Gpu>& gpus = options->gpus.gpus;
  if (gpus.empty() && !options->gpus.note.empty()) {
    LogInfo("no GPUs here, computing on the processor", {{"why", options->gpus.note}});
  }
  for (const Gpu& gpu : gpus) {
    LogInfo("GPU", {{"device", absl::StrCat("gpu:", gpu.index)},
                    {"uuid", gpu.uuid},
                    {"model", gpu.name},
                    {"memory_bytes", gpu.memory},
                    {"driver", options->gpus.nvml->driver()}});
  }
  options->cpu_slots = flags.cpu_slots > 0 ? flags.cpu_slots : gpus.empty() ? cores : 0;
  const int slots = options->cpu_slots + static_cast<int>(gpus.size());
  options->slot.trainer.threads =
      flags.threads_per_slot > 0 ? flags.threads_per_slot : std::max(1, cores / slots);
  return absl::OkStatus();
}

int Main(const WorkerFlags& flags) {
  if (absl::Status status = InitLogging("worker", flags.log_level); !status.ok()) return Fail(status);
  if (absl::Status status = Check(flags); !status.ok()) return Fail(status);
  if (absl::Status status = FenceReads(flags); !status.ok()) return Fail(status);
  ::signal(SIGPIPE, SIG_IGN);
  // Taken by one thread; blocked before there is any other.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto metrics = MetricsServer::Start(flags.metrics.ServerOptions("worker"));
  if (!metrics.ok()) return Fail(metrics.status());
  Agent::Options options = flags.agent;
  if (absl::Status status = ChooseSlots(flags, &options); !status.ok()) return Fail(status);
  options.on_ready = [&] {
    if (flags.ready_fd >= 0)
      Tell(flags.ready_fd, absl::StrCat("ready metrics=", (*metrics)->address(), "\n"));
  };
  absl::Status result;
  {
    Agent agent(options, &(*metrics)->registry());
    const auto device_metrics = agent.device_metrics();
    (*metrics)->Add(device_metrics);
    std::thread signal_thread([&] {
      for (int signal = 0; ::sigwait(&signals, &signal) == 0 && signal != SIGUSR1;) agent.Drain();
    });
    result = agent.Run();
    ::pthread_kill(signal_thread.native_handle(), SIGUSR1);
    signal_thread.join();
  }
  if (!result.ok()) return Fail(result);
  LogInfo("drained, bye");
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  lockstep::WorkerFlags flags;
  lockstep::Agent::Options& agent = flags.agent;
  agent.host = lockstep::HostName();
  agent.name = agent.host;
  agent.data_dir = lockstep::DefaultDataDir();
  agent.slot.trainer.program = lockstep::BesideThisProgram("lockstep-trainer");

  lockstep::CommandLine line("lockstep-worker",
                             "Offers this machine's devices to a lockstep coordinator and trains for it.",
                             lockstep::kExamples);
  lockstep::Flags& takes = line.flags();
  const auto address = [](const std::string& text) {
    return std::string(lockstep::ParseHostPort(text).status().message());
  };
  takes.Text("--coordinator", &agent.coordinator, "its gRPC address", "HOST:PORT", address);
  agent.access.Declare(&takes);
  takes.Switch("--insecure", &flags.insecure,
               "allow a coordinator on another machine without TLS, and others to read /metrics without TLS "
               "and token");
  takes.Text("--name", &agent.name, "unique on the coordinator; default: the host's name", "NAME");
  takes.Number("--threads-per-slot", &flags.threads_per_slot, 1, 1024,
               "threads that a trainer computes with; default: the cores divided by the slots. A job's bits "
               "do not depend on it");
  takes.Text("--gpus", &flags.gpus, "auto: all of this machine's; none; how many; or which, by their UUIDs",
             "auto|none|N|UUID,...");
  takes.Number("--cpu-slots", &flags.cpu_slots, 1, 1024,
               "trainers on this machine's cores; default: one per core, but none where there are GPUs");
  takes.Text("--data-dir", &agent.data_dir, "dataset cache and trainer logs", "DIR");
  takes.Texts(
      "--data-root", &flags.data_roots,
      "read files that clients name below this folder alone, may be given again; default: anywhere if "
      "the coordinator is on loopback, else nowhere: datasets come from the coordinator",
      "DIR");
  flags.metrics.Declare(&takes);
  takes.Text("--advertise-host", &agent.slot.trainer.advertise_host,
             "address at which trainers of other workers reach those here", "HOST");
  takes.Text("--trainer", &agent.slot.trainer.program, "trainer program; default: beside this one",
             "PROGRAM");
  takes.Switch("--allow-chaos", &agent.allow_chaos, "do the faults that `lockstep chaos` orders; for tests");
  takes.Number("--ready-fd", &flags.ready_fd, 0, 1 << 20,
               "descriptor that gets 'ready metrics=HOST:PORT' once registered");
  takes.Text("--log-level", &flags.log_level, "debug, info, warning, error or off", "LEVEL");
  bool print_metrics = false;
  takes.Switch("--print-metrics", &print_metrics, "print what /metrics has, in Markdown, and exit");
  if (const auto exit = line.Parse(argc, argv)) return lockstep::Leave(*exit);
  if (print_metrics) {
    return lockstep::Leave({0, lockstep::DescribeDaemon("lockstep-worker", lockstep::AgentMetrics()), ""});
  }
  const absl::Status access = agent.access.Complete([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  });
  ::unsetenv("LOCKSTEP_TOKEN");  // trainers have no use for it
  if (!access.ok()) return lockstep::Fail(access);
  return lockstep::Main(flags);
}
