// Answers of unary calls, whoever has them and whenever: DefaultReactor is finished exactly once.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <utility>

#include "common/net/grpc_status.h"

namespace lockstep {

inline grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// For a Controller callback: puts the job into `response` (alive until the call is finished) and finishes.
template <typename Response>
auto AnswerWithJob(grpc::ServerUnaryReactor* reactor, Response* response) {
  return [reactor, response](auto job) {
    if (job.ok()) *response->mutable_job() = *std::move(job);
    reactor->Finish(ToGrpc(job.status()));
  };
}

}  // namespace lockstep
