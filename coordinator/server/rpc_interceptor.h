// Measures every call of every service at one place: from its arrival to the moment its status is sent.
// Agents' streams (agent_stream.h) count themselves.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "coordinator/http/rpc_metrics.h"

namespace lockstep {

// `metrics` must outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeRpcInterceptorFactory(
    RpcMetrics* metrics);

}  // namespace lockstep
