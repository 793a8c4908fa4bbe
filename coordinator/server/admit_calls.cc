#include <utility>

#include "common/auth/token.h"
#include "common/net/grpc_status.h"
#include "coordinator/auth/rules.h"
#include "coordinator/server/security.h"

namespace lockstep {
namespace {

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

std::string_view Only(const grpc::AuthMetadataProcessor::InputMetadata& metadata, const char* key) {
  const auto [begin, end] = metadata.equal_range(key);
  if (begin == end || std::next(begin) != end) return "";  // two tokens are none
  return View(begin->second);
}

std::string Subject(const grpc::AuthContext* context) {
  for (const char* property : {GRPC_X509_SUBJECT_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : context->FindPropertyValues(property))
      return std::string(View(value));
  }
  return "";
}

class Admission : public grpc::AuthMetadataProcessor {
 public:
  Admission(Authorizer* authorizer, AuditLog* audit) : authorizer_(authorizer), audit_(audit) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    std::string_view method = Only(metadata, ":path");
    if (!method.empty() && method.front() == '/') method.remove_prefix(1);
    Caller caller;
    const absl::Status status = Decide(method, Only(metadata, "authorization"), &caller);
    if (!status.ok()) {
      audit_->AppendDenied({.who = caller.name,
                            .role = caller.role,
                            .certificate = Subject(context),
                            .rpc = std::string(method),
                            .outcome = absl::StatusCodeToString(status.code()),
                            .reason = std::string(status.message())});
    }
    return ToGrpc(status);
  }

 private:
  absl::Status Decide(std::string_view method, std::string_view authorization, Caller* caller) {
    const Rule* rule = FindRule(method);
    if (rule != nullptr && !rule->needed.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(
        authorizer_->Admit(authorization, rule != nullptr ? *rule->needed : Role::kAdmin, caller));
    if (rule == nullptr) {
      return absl::PermissionDeniedError(absl::StrCat(
          "there is no rule for ", std::string(method.substr(0, 200)), ", so nobody may call it"));
    }
    if (!caller->scope.only.empty() && !rule->scoped) {
      return absl::PermissionDeniedError(absl::StrCat("the token ", caller->name,
                                                      " is bound to the namespace ", caller->scope.only,
                                                      ", and this is about all of them"));
    }
    if (!rule->changes) return absl::OkStatus();
    return Annotate(audit_->status(), "nothing may be changed while it cannot be noted");
  }

  Authorizer* const authorizer_;
  AuditLog* const audit_;
};

}  // namespace

std::shared_ptr<grpc::AuthMetadataProcessor> AdmitCalls(Authorizer* authorizer, AuditLog* audit) {
  return std::make_shared<Admission>(authorizer, audit);
}

std::string OwnerOf(const grpc::ServerContextBase& call) {
  const auto found = call.client_metadata().find("authorization");
  if (found == call.client_metadata().end()) return "";
  const auto token = TokenOfHeader(View(found->second));
  return token.ok() ? Sha256Hex(*token) : "";
}

StreamOwner StreamOwnerOf(const grpc::ServerContextBase& call) { return {OwnerOf(call), call.peer()}; }

Scope ScopeOf(const grpc::ServerContextBase& call, const TokenStore* tokens) {
  if (tokens == nullptr) return {};
  const auto token = tokens->Find(OwnerOf(call));
  return {token.has_value() ? token->namespace_() : "-"};  // "-": none, as no namespace is called so
}

}  // namespace lockstep
