#include "coordinator/jobs/controller.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/services.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/chaos.grpc.pb.h"

namespace lockstep {
namespace {

class ChaosService final : public v1::Chaos::CallbackService {
 public:
  explicit ChaosService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* InjectFault(grpc::CallbackServerContext* call,
                                        const v1::InjectFaultRequest* request,
                                        v1::InjectFaultResponse*) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->Inject(request->fault(),
                                [reactor](const absl::Status& status) { reactor->Finish(ToGrpc(status)); });
    return reactor;
  }

 private:
  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeChaosService(const ServiceContext& context) {
  return std::make_unique<ChaosService>(context);
}

}  // namespace lockstep
