#include "coordinator/server/health_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "absl/time/clock.h"
#include "common/net/address.h"

namespace lockstep {

struct HealthServer::Impl {
  HostPort address;
  std::unique_ptr<grpc::Server> server;
};

HealthServer::HealthServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HealthServer::~HealthServer() {
  impl_->server->GetHealthCheckService()->Shutdown();
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  impl_->server->Wait();
}

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(const std::string& listen) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->address, ParseHostPort(listen));
  RETURN_IF_ERROR(CheckListenable(impl->address, "the health check", "--health-listen"));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(4 << 10);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 8);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 60'000);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  int port = 0;
  builder.AddListeningPort(impl->address.ToString(), grpc::InsecureServerCredentials(), &port);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("the health check cannot listen on ", listen,
                                               "; choose another address with --health-listen"));
  }
  impl->address.port = port;
  impl->server->GetHealthCheckService()->SetServingStatus(true);
  return std::unique_ptr<HealthServer>(new HealthServer(std::move(impl)));
}

std::string HealthServer::address() const { return impl_->address.ToString(); }

}  // namespace lockstep
