#include <utility>

#include "coordinator/jobs/controller.h"
#include "coordinator/server/agent_stream.h"
#include "coordinator/server/services.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

class WorkersService final : public v1::Workers::CallbackService {
 public:
  explicit WorkersService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* call, const v1::ListWorkersRequest*,
                                        v1::ListWorkersResponse* response) override {
    for (v1::Worker& worker : context_.controller->ListWorkers())
      *response->add_workers() = std::move(worker);
    return Answer(call, absl::OkStatus());
  }

  grpc::ServerBidiReactor<v1::ConnectRequest, v1::ConnectResponse>* Connect(
      grpc::CallbackServerContext*) override {
    return AgentStream::Start(context_.controller, context_.live);
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkersService(const ServiceContext& context) {
  return std::make_unique<WorkersService>(context);
}

}  // namespace lockstep
