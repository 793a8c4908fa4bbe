#include "coordinator/server/submit.h"

#include <memory>
#include <utility>

#include "common/data/dataset_files.h"
#include "common/spec/spec.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/jobs/artifact_access.h"
#include "coordinator/server/spec_fit.h"

namespace lockstep {
namespace {

absl::StatusOr<v1::Dataset> Prepare(const ServiceContext& context, const JobOwner& owner, v1::JobSpec* spec) {
  RETURN_IF_ERROR(context.controller->CheckNamespace(owner.space));  // before a dataset is registered there
  RETURN_IF_ERROR(CompleteSpec(spec));
  RETURN_IF_ERROR(CheckDatasetFiles(context, spec->dataset(), owner.scope));
  ASSIGN_OR_RETURN(v1::Dataset dataset, context.datasets->Resolve(spec->dataset(), owner.space, owner.scope));
  RETURN_IF_ERROR(FitSpecToDataset(dataset, spec));
  return dataset;
}

}  // namespace

absl::Status CheckDatasetFiles(const ServiceContext& context, const v1::DatasetSpec& spec,
                               const Scope& scope) {
  if (scope.only.empty() || spec.path().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const DatasetFiles files, FindFiles(spec));
  for (const std::string& file : files.All()) {
    RETURN_IF_ERROR(
        Annotate(CheckMayRead(context.artifact_root, context.store, file, scope), "dataset.path"));
  }
  return absl::OkStatus();
}

void Submit(const ServiceContext& context, v1::SubmitJobRequest request, const Scope& scope,
            Controller::JobCallback done) {
  auto space = scope.Choose(request.namespace_());
  if (!space.ok()) return done(space.status());
  // std::function copies its closure: the request travels by pointer.
  auto shared = std::make_shared<v1::SubmitJobRequest>(std::move(request));
  context.pool->Run([context, shared, owner = JobOwner{*std::move(space), scope}, done = std::move(done)] {
    v1::JobSpec* spec = shared->mutable_spec();
    absl::StatusOr<v1::Dataset> dataset = Prepare(context, owner, spec);
    if (!dataset.ok()) {
      done(dataset.status());
      return;
    }
    context.controller->Submit(std::move(*spec), std::move(*shared->mutable_request_id()),
                               *std::move(dataset), done, owner);
  });
}

}  // namespace lockstep
