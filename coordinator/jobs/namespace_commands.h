// Namespaces made, changed and taken away, and their quotas held against what is in use. Only the control
// thread calls this.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/jobs/ledger.h"

namespace lockstep {

// NOT_FOUND, with the nearest of the `names` that there are.
absl::Status NoSuchNamespace(const std::string& name, const std::vector<std::string>& names);

// Whether a job that needs `devices` may be queued there now. NOT_FOUND: no such namespace, with the nearest
// name. RESOURCE_EXHAUSTED: see AdmitJob.
absl::Status AdmitTo(const Ledger& ledger, const std::string& space, int devices);

class NamespaceCommands {
 public:
  explicit NamespaceCommands(Ledger* ledger) : ledger_(ledger) {}

  // See namespaces.proto; `done` once it is on disk.
  using Callback = std::function<void(absl::StatusOr<v1::Namespace>)>;
  void Create(const v1::CreateNamespaceRequest& request, const Callback& done);
  void Set(const v1::SetNamespaceRequest& request, const Callback& done);
  void Delete(const std::string& name, const Callback& done);

 private:
  void Answer(absl::StatusOr<v1::Namespace> answer, const Callback& done);

  Ledger* const ledger_;
};

}  // namespace lockstep
