#include "coordinator/server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <array>
#include <utility>
#include <vector>

#include "common/net/address.h"
#include "common/net/limits.h"
#include "coordinator/http/rpc_metrics.h"
#include "coordinator/server/rpc_interceptor.h"
#include "coordinator/server/services.h"

namespace lockstep {
namespace {

constexpr std::array<const char*, 4> kServices = {"lockstep.v1.Jobs", "lockstep.v1.Datasets",
                                                  "lockstep.v1.Models", "lockstep.v1.Workers"};

void Configure(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  // Two servers on one port would share its connections in silence.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kKeepaliveIntervalMs / 2);
  // Only reflection is a synchronous service; it needs no more.
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder->SetResourceQuota(grpc::ResourceQuota("coordinator").SetMaxThreads(8));
}

}  // namespace

struct CoordinatorServer::Impl {
  HostPort address;
  LiveStreams live;
  std::unique_ptr<RpcMetrics> metrics;
  std::unique_ptr<WorkerPool> pool;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
};

CoordinatorServer::CoordinatorServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CoordinatorServer::~CoordinatorServer() { Shutdown(); }

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(const Options& options) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->address, ParseHostPort(options.listen));
  RETURN_IF_ERROR(CheckListenable(impl->address, "the coordinator", options.flag));
  impl->pool = std::make_unique<WorkerPool>(options.max_blocking_threads);
  const ServiceContext context = {.controller = options.controller,
                                  .datasets = options.datasets,
                                  .store = options.store,
                                  .artifact_root = options.artifact_root,
                                  .pool = impl->pool.get(),
                                  .live = &impl->live};
  impl->services.push_back(MakeJobsService(context));
  impl->services.push_back(MakeDatasetsService(context));
  impl->services.push_back(MakeModelsService(context));
  impl->services.push_back(MakeWorkersService(context));

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Configure(&builder);
  if (options.metrics != nullptr) {
    impl->metrics = std::make_unique<RpcMetrics>(options.metrics);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(MakeRpcInterceptorFactory(impl->metrics.get()));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
  }
  for (const auto& service : impl->services) builder.RegisterService(service.get());
  int port = 0;
  builder.AddListeningPort(impl->address.ToString(), grpc::InsecureServerCredentials(), &port);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || port == 0) {
    RETURN_IF_ERROR(CheckListenable(impl->address, "the coordinator", options.flag));
    return absl::UnavailableError(absl::StrCat("the coordinator cannot listen on ", impl->address.ToString(),
                                               "; choose another address with ", options.flag));
  }
  impl->address.port = port;
  for (const char* service : kServices)
    impl->server->GetHealthCheckService()->SetServingStatus(service, true);
  return std::unique_ptr<CoordinatorServer>(new CoordinatorServer(std::move(impl)));
}

int CoordinatorServer::port() const { return impl_->address.port; }
std::string CoordinatorServer::address() const { return impl_->address.ToString(); }
size_t CoordinatorServer::open_streams() const { return impl_->live.size(); }

void CoordinatorServer::Shutdown(absl::Duration grace) {
  if (impl_->server == nullptr) return;
  impl_->server->GetHealthCheckService()->Shutdown();
  impl_->live.EndAll(absl::UnavailableError("coordinator is shutting down; try again when it is back"));
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  impl_->server->Wait();
  impl_->server.reset();
}

}  // namespace lockstep
