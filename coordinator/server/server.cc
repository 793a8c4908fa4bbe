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
#include "common/net/gated_listener.h"
#include "common/net/limits.h"
#include "common/net/tls_credentials.h"
#include "coordinator/http/rpc_metrics.h"
#include "coordinator/server/completion_queues.h"
#include "coordinator/server/connection_metrics.h"
#include "coordinator/server/rpc_interceptor.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "coordinator/server/stream_warden.h"

namespace lockstep {
namespace {

constexpr int kAgentQueues = 4;  // see bench/README.md

constexpr std::array<const char*, 7> kServices = {
    "lockstep.v1.Chaos",      "lockstep.v1.Jobs",   "lockstep.v1.Datasets", "lockstep.v1.Models",
    "lockstep.v1.Namespaces", "lockstep.v1.Tokens", "lockstep.v1.Workers"};

void Configure(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kKeepaliveIntervalMs / 2);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  // Only reflection is a synchronous service; it needs no more.
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder->SetResourceQuota(grpc::ResourceQuota("coordinator").SetMaxThreads(8));
}

std::shared_ptr<grpc::ServerCredentials> Credentials(const CoordinatorServer::Options& options) {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  if (!options.tls.cert.empty()) {
    credentials = MakeServerCredentials(options.tls);
  } else if (options.authorizer != nullptr) {
    // Plain TCP as well, but it can carry a check of the metadata, and turns away what is not from this
    // machine.
    credentials = grpc::experimental::LocalServerCredentials(LOCAL_TCP);
  } else {
    return grpc::InsecureServerCredentials();
  }
  if (options.authorizer != nullptr) {
    credentials->SetAuthMetadataProcessor(AdmitCalls(options.authorizer, options.audit));
  }
  return credentials;
}

}  // namespace

struct CoordinatorServer::Impl {
  HostPort address;
  LiveStreams live;
  std::unique_ptr<RpcMetrics> metrics;
  std::unique_ptr<WorkerPool> pool;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<CompletionQueues> agent_queues;  // outlive the server
  std::unique_ptr<GatedListener> listener;
  std::shared_ptr<prometheus::Collectable> connections;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<StreamWarden> warden;  // null: nobody is asked for a token
};

CoordinatorServer::CoordinatorServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CoordinatorServer::~CoordinatorServer() { Shutdown(); }

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(const Options& options) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->address, ParseHostPort(options.listen));
  RETURN_IF_ERROR(CheckListenable(impl->address, "the coordinator", options.flag));
  impl->pool = std::make_unique<WorkerPool>(options.max_blocking_threads);
  if (options.metrics != nullptr) impl->metrics = std::make_unique<RpcMetrics>(options.metrics);
  const ServiceContext context = {.controller = options.controller,
                                  .datasets = options.datasets,
                                  .store = options.store,
                                  .artifact_root = options.artifact_root,
                                  .pool = impl->pool.get(),
                                  .live = &impl->live,
                                  .tokens = options.tokens,
                                  .metrics = impl->metrics.get(),
                                  .authorizer = options.authorizer,
                                  .audit = options.audit};
  impl->services.push_back(MakeChaosService(context));
  impl->services.push_back(MakeJobsService(context));
  impl->services.push_back(MakeDatasetsService(context));
  impl->services.push_back(MakeModelsService(context));
  impl->services.push_back(MakeNamespacesService(context));
  impl->services.push_back(MakeTokensService(context));
  WorkersServiceParts workers = MakeWorkersService(context);
  impl->services.push_back(std::move(workers.service));

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Configure(&builder);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  if (impl->metrics != nullptr) interceptors.push_back(MakeRpcInterceptorFactory(impl->metrics.get()));
  if (options.audit != nullptr) interceptors.push_back(NoteChanges(options.authorizer, options.audit));
  if (!interceptors.empty()) builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (const auto& service : impl->services) builder.RegisterService(service.get());
  impl->acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, Credentials(options));
  impl->agent_queues = std::make_unique<CompletionQueues>(&builder, kAgentQueues);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) {
    return absl::InternalError("gRPC could not start the coordinator's server; its log says why");
  }
  auto listener = GatedListener::Listen({.address = impl->address, .limits = options.connections});
  if (!listener.ok()) {
    RETURN_IF_ERROR(CheckListenable(impl->address, "the coordinator", options.flag));
    return absl::UnavailableError(absl::StrCat("the coordinator cannot listen on ", impl->address.ToString(),
                                               ": ", listener.status().message(),
                                               "; choose another address with ", options.flag));
  }
  impl->listener = *std::move(listener);
  impl->address.port = impl->listener->port();
  impl->connections = MakeConnectionMetrics(impl->listener.get());
  impl->agent_queues->Start(workers.await_agents);
  impl->listener->Start([acceptor = impl->acceptor.get()](int fd, int listening, const GatedListener::Peer&) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    connection.listener_fd = listening;
    acceptor->HandleNewConnection(&connection);
  });
  if (options.tokens != nullptr) impl->warden = std::make_unique<StreamWarden>(options.tokens, &impl->live);
  for (const char* service : kServices)
    impl->server->GetHealthCheckService()->SetServingStatus(service, true);
  return std::unique_ptr<CoordinatorServer>(new CoordinatorServer(std::move(impl)));
}

int CoordinatorServer::port() const { return impl_->address.port; }
std::string CoordinatorServer::address() const { return impl_->address.ToString(); }
std::shared_ptr<prometheus::Collectable> CoordinatorServer::connections() const { return impl_->connections; }
size_t CoordinatorServer::open_streams() const { return impl_->live.size(); }

void CoordinatorServer::Shutdown(absl::Duration grace) {
  if (impl_->server == nullptr) return;
  impl_->warden.reset();
  impl_->listener->Stop();
  impl_->server->GetHealthCheckService()->Shutdown();
  impl_->live.EndAll(absl::UnavailableError("coordinator is shutting down; try again when it is back"));
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  impl_->server->Wait();
  impl_->agent_queues->Shutdown();
  impl_->server.reset();
}

}  // namespace lockstep
