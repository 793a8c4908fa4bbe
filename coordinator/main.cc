// lockstep-coordinator: store, datasets, controller, metrics page and gRPC server, wired up and taken down in
// order.
#include <malloc.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/logging/logging.h"
#include "common/metrics/metrics_server.h"
#include "common/paths/path_fence.h"
#include "coordinator/autoscale/autoscale_metrics.h"
#include "coordinator/daemon/data_directory.h"
#include "coordinator/daemon/data_roots.h"
#include "coordinator/daemon/dataset_store.h"
#include "coordinator/daemon/file_limit.h"
#include "coordinator/daemon/flags.h"
#include "coordinator/daemon/gatekeeper.h"
#include "coordinator/daemon/live_page.h"
#include "coordinator/daemon/ready.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/http/controller_metrics.h"
#include "coordinator/http/fleet_metrics.h"
#include "coordinator/http/job_metrics.h"
#include "coordinator/http/namespace_metrics.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/health_server.h"
#include "coordinator/server/server.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/tracking/tracking_metrics.h"

namespace lockstep {
namespace {

constexpr int kOtherFiles = 512;  // connections that are silent yet, the web servers', files

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
  RETURN_IF_ERROR(FenceReads(flags));
  RaiseFileLimit(flags.max_connections + kOtherFiles);
  ASSIGN_OR_RETURN(const int stop_signals, OpenStopSignals());
  ASSIGN_OR_RETURN(const auto lock, DataDirectoryLock::Acquire(flags.data_dir));

  // From here on, what is made later uses what was made earlier, and is destroyed first.
  SystemClock clock;
  const std::string store_path = absl::StrCat(flags.data_dir, "/state.db");
  ASSIGN_OR_RETURN(const auto store, OpenSqliteStore(store_path));
  ASSIGN_OR_RETURN(const auto tracking, Tracking::Start(flags.tracking, store_path, store.get()));
  StoredDatasets stored_datasets(store.get());
  DatasetRegistry datasets(&stored_datasets, &clock);
  RETURN_IF_ERROR(datasets.Load());
  ASSIGN_OR_RETURN(const auto metrics, MetricsServer::Start(flags.metrics.ServerOptions("coordinator")));
  ASSIGN_OR_RETURN(const auto controller, Controller::Start({.artifact_root = flags.artifact_root,
                                                             .heartbeat_interval = flags.heartbeat_interval,
                                                             .worker_timeout = flags.worker_timeout,
                                                             .allow_chaos = flags.allow_chaos,
                                                             .node_failures = flags.quarantine_after},
                                                            store.get(), &clock));
  ASSIGN_OR_RETURN(const Gatekeeper gatekeeper, OpenGatekeeper(flags, &clock));
  const auto controller_metrics = MakeControllerMetrics([&] { return controller->Snapshot(); });
  const auto fleet_metrics = MakeFleetMetrics([&] { return controller->ListWorkers(); });
  const auto job_metrics = MakeJobMetrics(store.get());
  const auto namespace_metrics = MakeNamespaceMetrics([&] { return controller->ListNamespaces(); });
  ASSIGN_OR_RETURN(const auto autoscaler,
                   StartAutoscaler(flags.autoscale,
                                   {.devices_wanted = [&] { return controller->Snapshot().devices_wanted; },
                                    .workers = [&] { return controller->ListWorkers(); }},
                                   &clock));
  const auto autoscale_metrics = MakeAutoscaleMetrics(autoscaler.get());
  const auto tracking_metrics = MakeTrackingMetrics(tracking.get());
  for (const auto& more : {controller_metrics, fleet_metrics, job_metrics, namespace_metrics,
                           tracking_metrics, autoscale_metrics}) {
    metrics->Add(more);
  }
  ASSIGN_OR_RETURN(const auto server,
                   CoordinatorServer::Start({.listen = flags.listen,
                                             .tls = flags.tls,
                                             .artifact_root = flags.artifact_root,
                                             .controller = controller.get(),
                                             .datasets = &datasets,
                                             .store = store.get(),
                                             .metrics = &metrics->registry(),
                                             .authorizer = gatekeeper.authorizer.get(),
                                             .tokens = gatekeeper.tokens.get(),
                                             .audit = gatekeeper.audit.get(),
                                             .connections = {.all = flags.max_connections,
                                                             .per_peer = flags.max_connections_per_peer}}));
  const auto connection_metrics = server->connections();
  metrics->Add(connection_metrics);
  ASSIGN_OR_RETURN(auto page, LivePage::Start(flags, gatekeeper, controller.get(), store.get(), &clock));
  std::unique_ptr<HealthServer> health;
  if (!flags.health_listen.empty()) {
    ASSIGN_OR_RETURN(health, HealthServer::Start(flags.health_listen));
  }
  LogInfo("serving", {{"version", Version()},
                      {"grpc", server->address()},
                      {"metrics", metrics->address()},
                      {"page", page->address()},
                      {"health", health != nullptr ? health->address() : ""},
                      {"tokens", gatekeeper.tokens != nullptr ? "asked for" : "not asked for"},
                      {"data_dir", flags.data_dir},
                      {"data_roots", ReadFence().folders()},
                      {"artifact_root", flags.artifact_root}});
  RETURN_IF_ERROR(ReportReady(flags.ready_fd, server->address(), metrics->address(), page->address()));

  const std::string signal = WaitForStopSignal(stop_signals);
  LogInfo("stopping", {{"signal", signal}, {"open_streams", server->open_streams()}});
  page.reset();
  health.reset();
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
  // Debian builds Abseil with it, and each lock and unlock then pays for it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const auto parsed = lockstep::ParseFlags(argc, argv);
  if (const auto* exit = std::get_if<lockstep::Exit>(&parsed)) return lockstep::Leave(*exit);
  const absl::Status status = lockstep::Run(std::get<lockstep::CoordinatorFlags>(parsed));
  if (status.ok()) return 0;
  std::fprintf(stderr, "lockstep-coordinator: %s\n", std::string(status.message()).c_str());
  return 1;
}
