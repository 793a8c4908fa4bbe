// Stub::Method of a service, called with the usual retries. Internal to the client library.
#pragma once

#include "client/library/client.h"
#include "client/library/connection.h"

namespace lockstep {

inline constexpr absl::Duration kQuickCall = absl::Seconds(60);

template <typename Service, typename Request, typename Response>
absl::StatusOr<Response> Unary(Connection* connection,
                               grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                     Response*),
                               const Request& request, absl::Duration timeout = kQuickCall) {
  const auto stub = Service::NewStub(connection->channel());
  Response response;
  RETURN_IF_ERROR(connection->Call(
      [&](grpc::ClientContext* context, bool*) {
        response.Clear();
        return (stub.get()->*method)(context, request, &response);
      },
      timeout));
  return response;
}

}  // namespace lockstep
