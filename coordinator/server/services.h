// The gRPC plumbing of the seven services: each method checks its request, calls who knows, and answers. What
// they share is in ServiceContext; what they promise is written in proto/lockstep/v1.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/server/live_streams.h"
#include "coordinator/server/worker_pool.h"

namespace grpc {
class ServerCompletionQueue;
class Service;
}  // namespace grpc

namespace lockstep {

class AuditLog;
class Authorizer;
class Controller;
class DatasetRegistry;
class RpcMetrics;
class Store;
class TokenStore;

// Nothing is owned; all must outlive the services.
struct ServiceContext {
  Controller* controller = nullptr;
  DatasetRegistry* datasets = nullptr;
  Store* store = nullptr;  // only read
  std::string artifact_root;
  WorkerPool* pool = nullptr;  // for whatever may block
  LiveStreams* live = nullptr;
  TokenStore* tokens = nullptr;  // null: nobody is asked for a token
  // What agents' streams note of themselves; null: nothing. Of `authorizer` and `audit` both or none.
  RpcMetrics* metrics = nullptr;
  const Authorizer* authorizer = nullptr;
  AuditLog* audit = nullptr;
};

// Agents' streams come from queues of their own.
struct WorkersServiceParts {
  std::unique_ptr<grpc::Service> service;
  std::function<void(grpc::ServerCompletionQueue*)> await_agents;  // see AgentStream::Await
};

std::unique_ptr<grpc::Service> MakeChaosService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeJobsService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeDatasetsService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeModelsService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeNamespacesService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeTokensService(const ServiceContext& context);
WorkersServiceParts MakeWorkersService(const ServiceContext& context);

}  // namespace lockstep
