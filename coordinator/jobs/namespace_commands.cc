#include "coordinator/jobs/namespace_commands.h"

#include <spdlog/spdlog.h>

#include "common/base/proto_time.h"
#include "common/spec/spec.h"
#include "coordinator/namespaces/names.h"
#include "coordinator/namespaces/quota.h"

namespace lockstep {
namespace {

absl::Status NotThere(const Ledger& ledger, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, space] : ledger.namespaces()) names.push_back(known);
  return NoSuchNamespace(name, names);
}

}  // namespace

absl::Status NoSuchNamespace(const std::string& name, const std::vector<std::string>& names) {
  const std::string nearest = Nearest(name, names);
  return absl::NotFoundError(absl::StrCat(
      "there is no namespace '", name, "'",
      nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?"), nearest.empty() ? "; " : " ",
      "`lockstep namespace list` shows those that there are, and an admin makes one with ",
      "`lockstep namespace create`"));
}

absl::Status AdmitTo(const Ledger& ledger, const std::string& space, int devices) {
  const v1::Namespace* found = ledger.FindNamespace(space);
  if (found == nullptr) return NotThere(ledger, space);
  v1::NamespaceUse use;
  use.set_jobs(static_cast<int64_t>(ledger.UnfinishedOf(space).size()));
  if (found->quota().has_storage_bytes()) {
    ASSIGN_OR_RETURN(const int64_t bytes, ledger.store()->StorageOf(space));
    use.set_storage_bytes(bytes);
  }
  return AdmitJob(*found, use, devices);
}

void NamespaceCommands::Answer(absl::StatusOr<v1::Namespace> answer, const Callback& done) {
  ledger_->AfterCommit([answer = std::move(answer), done] { done(answer); });
}

void NamespaceCommands::Create(const v1::CreateNamespaceRequest& request, const Callback& done) {
  absl::Status status = CheckNamespaceName(request.name());
  if (status.ok()) status = CheckQuota(request.quota());
  if (status.ok() && ledger_->FindNamespace(request.name()) != nullptr) {
    status = absl::AlreadyExistsError(absl::StrCat("there is a namespace ", request.name(),
                                                   " already; `lockstep namespace set` changes its quota"));
  }
  if (!status.ok()) return Answer(status, done);
  v1::Namespace space;
  space.set_name(request.name());
  *space.mutable_quota() = request.quota();
  *space.mutable_created() = ToProto(ledger_->now());
  ledger_->SetNamespace(space);
  spdlog::info("namespace {} is made", space.name());
  Answer(space, done);
}

void NamespaceCommands::Set(const v1::SetNamespaceRequest& request, const Callback& done) {
  const v1::Namespace* found = ledger_->FindNamespace(request.name());
  if (found == nullptr) return Answer(NotThere(*ledger_, request.name()), done);
  auto quota = ChangeQuota(found->quota(), request);
  if (!quota.ok()) return Answer(quota.status(), done);
  v1::Namespace space = *found;
  *space.mutable_quota() = *std::move(quota);
  ledger_->SetNamespace(space);
  Answer(space, done);
}

void NamespaceCommands::Delete(const std::string& name, const Callback& done) {
  const v1::Namespace* found = ledger_->FindNamespace(name);
  if (found == nullptr) return Answer(NotThere(*ledger_, name), done);
  if (name == kDefaultNamespace) {
    return Answer(absl::FailedPreconditionError("the namespace default is always there; it can have a quota"),
                  done);
  }
  const size_t unfinished = ledger_->UnfinishedOf(name).size();
  if (unfinished > 0) {
    return Answer(
        absl::FailedPreconditionError(absl::StrCat(
            "namespace ", name, " has ", unfinished, unfinished == 1 ? " unfinished job" : " unfinished jobs",
            "; wait for the end or cancel (`lockstep jobs -n ", name, "`)")),
        done);
  }
  const v1::Namespace removed = *found;
  ledger_->RemoveNamespace(name);
  spdlog::info("namespace {} is deleted", name);
  Answer(removed, done);
}

}  // namespace lockstep
