// From a request to a queued job: complete the spec, resolve its dataset (which may read the file), see that
// model and data fit, and hand it to the controller. No gRPC in here.
//
// Thread-safe.
#pragma once

#include "coordinator/jobs/controller.h"
#include "coordinator/server/services.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep {

// Returns at once; `done` runs on a pool thread or the control thread. See SubmitJob in jobs.proto.
void Submit(const ServiceContext& context, v1::SubmitJobRequest request, Controller::JobCallback done);

}  // namespace lockstep
