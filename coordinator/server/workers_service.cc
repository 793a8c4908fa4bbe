#include <utility>

#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/visible_workers.h"
#include "coordinator/server/agent_stream.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

// Connect with queues of its own, the rest with callbacks.
using Methods = v1::Workers::WithCallbackMethod_ListWorkers<
    v1::Workers::WithCallbackMethod_CordonWorker<v1::Workers::WithCallbackMethod_UncordonWorker<
        v1::Workers::WithAsyncMethod_Connect<v1::Workers::Service>>>>;

class WorkersService final : public Methods {
 public:
  explicit WorkersService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* call, const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    const Scope scope = ScopeOf(*call, context_.tokens);
    for (v1::Worker& worker : WorkersFor(context_.controller, scope))
      *response->add_workers() = std::move(worker);
    return Answer(call, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* CordonWorker(grpc::CallbackServerContext* call,
                                         const v1::CordonWorkerRequest* request,
                                         v1::CordonWorkerResponse* response) override {
    if (absl::Status status = CheckReference("worker", request->worker()); !status.ok())
      return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->Cordon(*request, [reactor, response](absl::StatusOr<v1::Cordon> cordon) {
      if (cordon.ok()) *response->mutable_cordon() = *std::move(cordon);
      reactor->Finish(ToGrpc(cordon.status()));
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* UncordonWorker(grpc::CallbackServerContext* call,
                                           const v1::UncordonWorkerRequest* request,
                                           v1::UncordonWorkerResponse* response) override {
    if (absl::Status status = CheckReference("worker", request->worker()); !status.ok())
      return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->Uncordon(*request,
                                  [reactor, response](absl::StatusOr<std::vector<v1::Cordon>> removed) {
                                    if (removed.ok()) {
                                      for (v1::Cordon& cordon : *removed)
                                        *response->add_cordons() = std::move(cordon);
                                    }
                                    reactor->Finish(ToGrpc(removed.status()));
                                  });
    return reactor;
  }

 private:
  const ServiceContext context_;
};

}  // namespace

WorkersServiceParts MakeWorkersService(const ServiceContext& context) {
  auto service = std::make_unique<WorkersService>(context);
  const auto request = [made = service.get()](grpc::ServerContext* call, AgentStream::Wire* wire,
                                              grpc::ServerCompletionQueue* queue, void* tag) {
    made->RequestConnect(call, wire, queue, queue, tag);
  };
  return {std::move(service), [context, request](grpc::ServerCompletionQueue* queue) {
            AgentStream::Await(context, request, queue);
          }};
}

}  // namespace lockstep
