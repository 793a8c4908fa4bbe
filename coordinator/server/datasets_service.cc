#include <utility>

#include "coordinator/datasets/registry.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/security.h"
#include "coordinator/server/server_stream.h"
#include "coordinator/server/services.h"
#include "coordinator/server/shard_source.h"
#include "coordinator/server/submit.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/datasets.grpc.pb.h"

namespace lockstep {
namespace {

class DatasetsService final : public v1::Datasets::CallbackService {
 public:
  explicit DatasetsService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* RegisterDataset(grpc::CallbackServerContext* call,
                                            const v1::RegisterDatasetRequest* request,
                                            v1::RegisterDatasetResponse* response) override {
    if (absl::Status status = CheckRequestSize(*request); !status.ok()) return Answer(call, status);
    const Scope scope = ScopeOf(*call, context_.tokens);
    auto space = scope.Choose(request->namespace_());
    if (!space.ok()) return Answer(call, space.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([this, reactor, request = *request, response, scope, space = *std::move(space)] {
      absl::StatusOr<Registration> registered = Register(request, scope, space);
      if (registered.ok()) {
        *response->mutable_dataset() = std::move(registered->dataset);
        response->set_created(registered->created);
      }
      reactor->Finish(ToGrpc(registered.status()));
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* call,
                                       const v1::GetDatasetRequest* request,
                                       v1::GetDatasetResponse* response) override {
    if (absl::Status status = CheckReference("dataset", request->dataset()); !status.ok())
      return Answer(call, status);
    const Scope scope = ScopeOf(*call, context_.tokens);
    absl::StatusOr<v1::Dataset> dataset = context_.datasets->Find(request->dataset(), scope);
    if (dataset.ok()) *response->mutable_dataset() = *std::move(dataset);
    return Answer(call, dataset.status());
  }

  grpc::ServerUnaryReactor* ListDatasets(grpc::CallbackServerContext* call,
                                         const v1::ListDatasetsRequest* request,
                                         v1::ListDatasetsResponse* response) override {
    const auto space = ScopeOf(*call, context_.tokens).Filter(request->namespace_());
    if (!space.ok()) return Answer(call, space.status());
    for (v1::Dataset& dataset : context_.datasets->List()) {
      const std::string of = SplitName(dataset.name(), kDefaultNamespace).space;
      if (space->empty() || of == *space) *response->add_datasets() = std::move(dataset);
    }
    return Answer(call, absl::OkStatus());
  }

  grpc::ServerWriteReactor<v1::ReadShardResponse>* ReadShard(grpc::CallbackServerContext* call,
                                                             const v1::ReadShardRequest* request) override {
    const StreamExecutor executor = [pool = context_.pool](std::function<void()> task) {
      pool->Run(std::move(task));
    };
    return ServerStream<v1::ReadShardResponse>::Start(
               context_.live, executor, std::make_unique<ShardSource>(context_.datasets, *request),
               StreamOwnerOf(*call))
        .get();
  }

 private:
  absl::StatusOr<Registration> Register(const v1::RegisterDatasetRequest& request, const Scope& scope,
                                        const std::string& space) {
    RETURN_IF_ERROR(context_.controller->CheckNamespace(space));
    RETURN_IF_ERROR(CheckDatasetFiles(context_, request.spec(), scope));
    return context_.datasets->Register(request.name(), request.spec(), space);
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeDatasetsService(const ServiceContext& context) {
  return std::make_unique<DatasetsService>(context);
}

}  // namespace lockstep
