// The controller's calls about namespaces.
#include "coordinator/jobs/controller_impl.h"
#include "coordinator/jobs/namespace_commands.h"

namespace lockstep {

void Controller::CreateNamespace(v1::CreateNamespaceRequest request, NamespaceCallback done) {
  impl_->PostNamespaceCall(done, [impl = impl_.get(), request = std::move(request), done] {
    impl->namespaces.Create(request, done);
  });
}

void Controller::SetNamespace(v1::SetNamespaceRequest request, NamespaceCallback done) {
  impl_->PostNamespaceCall(done, [impl = impl_.get(), request = std::move(request), done] {
    impl->namespaces.Set(request, done);
  });
}

void Controller::DeleteNamespace(std::string name, NamespaceCallback done) {
  impl_->PostNamespaceCall(
      done, [impl = impl_.get(), name = std::move(name), done] { impl->namespaces.Delete(name, done); });
}

absl::StatusOr<std::vector<v1::Namespace>> Controller::ListNamespaces() {
  ASSIGN_OR_RETURN(const auto storage, impl_->store->StorageOfAll());
  std::vector<v1::Namespace> spaces = impl_->published.Namespaces();
  for (v1::Namespace& space : spaces) {
    const auto bytes = storage.find(space.name());
    if (bytes != storage.end()) space.mutable_use()->set_storage_bytes(bytes->second);
  }
  return spaces;
}

absl::StatusOr<v1::Namespace> Controller::GetNamespace(const std::string& name) {
  std::vector<std::string> names;
  for (v1::Namespace& space : impl_->published.Namespaces()) {
    names.push_back(space.name());
    if (space.name() != name) continue;
    ASSIGN_OR_RETURN(const int64_t bytes, impl_->store->StorageOf(name));
    space.mutable_use()->set_storage_bytes(bytes);
    return std::move(space);
  }
  return NoSuchNamespace(name, names);
}

absl::Status Controller::CheckNamespace(const std::string& name) {
  if (impl_->published.HasNamespace(name)) return absl::OkStatus();
  std::vector<std::string> names;
  for (const v1::Namespace& space : impl_->published.Namespaces()) names.push_back(space.name());
  return NoSuchNamespace(name, names);
}

}  // namespace lockstep
