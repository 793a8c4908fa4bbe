#include <utility>

#include "absl/strings/str_join.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/namespaces.grpc.pb.h"

namespace lockstep {
namespace {

class NamespacesService final : public v1::Namespaces::CallbackService {
 public:
  explicit NamespacesService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* CreateNamespace(grpc::CallbackServerContext* call,
                                            const v1::CreateNamespaceRequest* request,
                                            v1::CreateNamespaceResponse* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->CreateNamespace(*request, AnswerWithNamespace(reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* GetNamespace(grpc::CallbackServerContext* call,
                                         const v1::GetNamespaceRequest* request,
                                         v1::GetNamespaceResponse* response) override {
    if (absl::Status status = CheckReference("name", request->name()); !status.ok())
      return Answer(call, status);
    if (!ScopeOf(*call, context_.tokens).Sees(request->name())) {
      return Answer(call, absl::NotFoundError(absl::StrCat("there is no namespace '", request->name(),
                                                           "' that this token may see")));
    }
    auto space = context_.controller->GetNamespace(request->name());
    if (space.ok()) *response->mutable_namespace_() = *std::move(space);
    return Answer(call, space.status());
  }

  grpc::ServerUnaryReactor* ListNamespaces(grpc::CallbackServerContext* call,
                                           const v1::ListNamespacesRequest*,
                                           v1::ListNamespacesResponse* response) override {
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([this, reactor, response, scope = ScopeOf(*call, context_.tokens)] {
      auto spaces = context_.controller->ListNamespaces();
      if (spaces.ok()) {
        for (v1::Namespace& space : *spaces) {
          if (scope.Sees(space.name())) *response->add_namespaces() = std::move(space);
        }
      }
      reactor->Finish(ToGrpc(spaces.status()));
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* SetNamespace(grpc::CallbackServerContext* call,
                                         const v1::SetNamespaceRequest* request,
                                         v1::SetNamespaceResponse* response) override {
    if (absl::Status status = CheckReference("name", request->name()); !status.ok())
      return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->SetNamespace(*request, AnswerWithNamespace(reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* DeleteNamespace(grpc::CallbackServerContext* call,
                                            const v1::DeleteNamespaceRequest* request,
                                            v1::DeleteNamespaceResponse*) override {
    if (absl::Status status = CheckReference("name", request->name()); !status.ok())
      return Answer(call, status);
    if (absl::Status status = CheckNoToken(request->name()); !status.ok()) return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->DeleteNamespace(
        request->name(),
        [reactor](const absl::StatusOr<v1::Namespace>& space) { reactor->Finish(ToGrpc(space.status())); });
    return reactor;
  }

 private:
  template <typename Response>
  static Controller::NamespaceCallback AnswerWithNamespace(grpc::ServerUnaryReactor* reactor,
                                                           Response* response) {
    return [reactor, response](absl::StatusOr<v1::Namespace> space) {
      if (space.ok()) *response->mutable_namespace_() = *std::move(space);
      reactor->Finish(ToGrpc(space.status()));
    };
  }

  // One that is made later under the same name would be its holders', too.
  absl::Status CheckNoToken(const std::string& name) const {
    if (context_.tokens == nullptr) return absl::OkStatus();
    const std::vector<std::string> bound = context_.tokens->ValidBoundTo(name);
    if (bound.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("namespace ", name,
                                                      " has valid tokens: ", absl::StrJoin(bound, ", "),
                                                      "; revoke them first (`lockstep token revoke`)"));
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeNamespacesService(const ServiceContext& context) {
  return std::make_unique<NamespacesService>(context);
}

}  // namespace lockstep
