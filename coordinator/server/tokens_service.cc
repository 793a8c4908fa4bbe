#include <utility>

#include "coordinator/auth/token_store.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/services.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/tokens.grpc.pb.h"

namespace lockstep {
namespace {

class TokensService final : public v1::Tokens::CallbackService {
 public:
  explicit TokensService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* call,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) override {
    return Run(call, [this, request, response]() -> absl::Status {
      if (!request->namespace_().empty()) {
        RETURN_IF_ERROR(context_.controller->CheckNamespace(request->namespace_()));
      }
      ASSIGN_OR_RETURN(*response, context_.tokens->Create(*request));
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* call, const v1::ListTokensRequest*,
                                       v1::ListTokensResponse* response) override {
    return Run(call, [this, response] {
      for (v1::Token& token : context_.tokens->List()) *response->add_tokens() = std::move(token);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* call,
                                        const v1::RevokeTokenRequest* request,
                                        v1::RevokeTokenResponse* response) override {
    return Run(call, [this, request, response]() -> absl::Status {
      ASSIGN_OR_RETURN(*response->mutable_token(), context_.tokens->Revoke(request->name()));
      return absl::OkStatus();
    });
  }

 private:
  // Request and response live until the call is finished.
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* call, std::function<absl::Status()> work) {
    if (context_.tokens == nullptr) {
      return Answer(call,
                    absl::FailedPreconditionError(
                        "this coordinator asks nobody for a token; start it with --auth, or by TLS on an "
                        "address that other machines can reach"));
    }
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([reactor, work = std::move(work)] { reactor->Finish(ToGrpc(work())); });
    return reactor;
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTokensService(const ServiceContext& context) {
  return std::make_unique<TokensService>(context);
}

}  // namespace lockstep
