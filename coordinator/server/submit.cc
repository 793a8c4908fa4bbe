#include "coordinator/server/submit.h"

#include <memory>
#include <utility>

#include "common/spec/spec.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/server/spec_fit.h"

namespace lockstep {
namespace {

absl::StatusOr<v1::Dataset> Prepare(DatasetRegistry* datasets, v1::JobSpec* spec) {
  RETURN_IF_ERROR(CompleteSpec(spec));
  ASSIGN_OR_RETURN(v1::Dataset dataset, datasets->Resolve(spec->dataset()));
  RETURN_IF_ERROR(FitSpecToDataset(dataset, spec));
  return dataset;
}

}  // namespace

void Submit(const ServiceContext& context, v1::SubmitJobRequest request, Controller::JobCallback done) {
  // std::function copies its closure: the request travels by pointer.
  auto shared = std::make_shared<v1::SubmitJobRequest>(std::move(request));
  context.pool->Run([controller = context.controller, datasets = context.datasets, shared,
                     done = std::move(done)] {
    v1::JobSpec* spec = shared->mutable_spec();
    absl::StatusOr<v1::Dataset> dataset = Prepare(datasets, spec);
    if (!dataset.ok()) {
      done(dataset.status());
      return;
    }
    controller->Submit(std::move(*spec), std::move(*shared->mutable_request_id()), *std::move(dataset), done);
  });
}

}  // namespace lockstep
