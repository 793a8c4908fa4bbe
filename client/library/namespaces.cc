// The client's calls about namespaces.
#include "client/library/unary_call.h"
#include "lockstep/v1/namespaces.grpc.pb.h"

namespace lockstep {

absl::StatusOr<v1::Namespace> Client::CreateNamespace(const v1::CreateNamespaceRequest& request) {
  ASSIGN_OR_RETURN(auto response,
                   Unary<v1::Namespaces>(connection_.get(), &v1::Namespaces::Stub::CreateNamespace, request));
  return std::move(*response.mutable_namespace_());
}

absl::StatusOr<v1::Namespace> Client::GetNamespace(const std::string& name) {
  v1::GetNamespaceRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(auto response,
                   Unary<v1::Namespaces>(connection_.get(), &v1::Namespaces::Stub::GetNamespace, request));
  return std::move(*response.mutable_namespace_());
}

absl::StatusOr<v1::ListNamespacesResponse> Client::ListNamespaces() {
  return Unary<v1::Namespaces>(connection_.get(), &v1::Namespaces::Stub::ListNamespaces,
                               v1::ListNamespacesRequest());
}

absl::StatusOr<v1::Namespace> Client::SetNamespace(const v1::SetNamespaceRequest& request) {
  ASSIGN_OR_RETURN(auto response,
                   Unary<v1::Namespaces>(connection_.get(), &v1::Namespaces::Stub::SetNamespace, request));
  return std::move(*response.mutable_namespace_());
}

absl::Status Client::DeleteNamespace(const std::string& name) {
  v1::DeleteNamespaceRequest request;
  request.set_name(name);
  return Unary<v1::Namespaces>(connection_.get(), &v1::Namespaces::Stub::DeleteNamespace, request).status();
}

}  // namespace lockstep
