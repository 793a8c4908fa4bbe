// absl::Status <-> grpc::Status. The codes are the same numbers by design of both; the message is carried
// over, except that an empty one becomes the code's name and a
// very long one is cut: a peer would drop the whole status.
#pragma once

#include <grpcpp/support/status.h>

#include "common/base/status.h"

namespace lockstep {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace lockstep
