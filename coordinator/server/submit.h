// From a request to a queued job: complete the spec, resolve its dataset (which may read the file), see that
// model and data fit, and hand it to the controller. No gRPC in here.
//
// Thread-safe.
#pragma once

#include "coordinator/jobs/controller.h"
#include "coordinator/namespaces/scope.h"
#include "coordinator/server/services.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// Returns at once; `done` runs on a pool thread or the control thread. See SubmitJob in jobs.proto.
void Submit(const ServiceContext& context, v1::SubmitJobRequest request, const Scope& scope,
            Controller::JobCallback done);

// NOT_FOUND: a file of the dataset is what a job left that `scope` does not see.
absl::Status CheckDatasetFiles(const ServiceContext& context, const v1::DatasetSpec& spec,
                               const Scope& scope);

}  // namespace lockstep
