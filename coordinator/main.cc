// lockstep-coordinator: store, datasets, controller, metrics page and gRPC server, wired up and taken down in
// order.
#include <malloc.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/logging/logging.h"
#include "common/metrics/metrics_server.h"
#include "coordinator/daemon/data_directory.h"
#include "coordinator/daemon/dataset_store.h"
#include "coordinator/daemon/flags.h"
#include "coordinator/daemon/ready.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/http/controller_metrics.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/server.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {
namespace {

// Blocks SIGTERM and SIGINT for all threads to come; a descriptor tells of them instead.
absl::StatusOr<int> OpenStopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return absl::InternalError("cannot block SIGTERM");
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC);
  if (fd < 0) return absl::InternalError("cannot open a signalfd");
  return fd;
}

std::string WaitForStopSignal(int fd) {
  signalfd_siginfo info{};
  while (read(fd, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
  }
  // A second one means now.
  std::signal(static_cast<int>(info.ssi_signo), SIG_DFL);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
}

absl::Status Run(const CoordinatorFlags& flags) {
  RETURN_IF_ERROR(InitLogging("coordinator", flags.log_level));
  RETURN_IF_ERROR(CheckExposure(flags));
  ASSIGN_OR_RETURN(const int stop_signals, OpenStopSignals());
  ASSIGN_OR_RETURN(const auto lock, DataDirectoryLock::Acquire(flags.data_dir));

  // From here on, what is made later uses what was made earlier, and is destroyed first.
  SystemClock clock;
  ASSIGN_OR_RETURN(const auto store, OpenSqliteStore(absl::StrCat(flags.data_dir, "/state.db")));
  StoredDatasets stored_datasets(store.get());
  DatasetRegistry datasets(&stored_datasets, &clock);
  RETURN_IF_ERROR(datasets.Load());
  ASSIGN_OR_RETURN(const auto metrics,
                   MetricsServer::Start({.listen = flags.metrics_listen, .daemon = "coordinator"}));
  ASSIGN_OR_RETURN(const auto controller, Controller::Start({.artifact_root = flags.artifact_root,
                                                             .heartbeat_interval = flags.heartbeat_interval,
                                                             .worker_timeout = flags.worker_timeout,
                                                             .node_failures = flags.quarantine_after},
                                                            store.get(), &clock));
  const auto controller_metrics = MakeControllerMetrics([&] { return controller->Snapshot(); });
  metrics->Add(controller_metrics);
  ASSIGN_OR_RETURN(const auto server, CoordinatorServer::Start({.listen = flags.listen,
                                                                .artifact_root = flags.artifact_root,
                                                                .controller = controller.get(),
                                                                .datasets = &datasets,
                                                                .store = store.get(),
                                                                .metrics = &metrics->registry()}));
  LogInfo("serving", {{"version", Version()},
                      {"grpc", server->address()},
                      {"metrics", metrics->address()},
                      {"data_dir", flags.data_dir},
                      {"artifact_root", flags.artifact_root}});
  RETURN_IF_ERROR(ReportReady(flags.ready_fd, server->address(), metrics->address()));

  const std::string signal = WaitForStopSignal(stop_signals);
  LogInfo("stopping", {{"signal", signal}, {"open_streams", server->open_streams()}});
  server->Shutdown();
  metrics->Stop();
  close(stop_signals);
  LogInfo("stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 2);  // few threads allocate at the same time, and each arena keeps its own free memory
  const auto parsed = lockstep::ParseFlags(argc, argv);
  if (const auto* exit = std::get_if<lockstep::Exit>(&parsed)) return lockstep::Leave(*exit);
  const absl::Status status = lockstep::Run(std::get<lockstep::CoordinatorFlags>(parsed));
  if (status.ok()) return 0;
  std::fprintf(stderr, "lockstep-coordinator: %s\n", std::string(status.message()).c_str());
  return 1;
}
