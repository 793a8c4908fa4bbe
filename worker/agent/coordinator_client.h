// The agent's side of the coordinator's gRPC API; the only place of the agent that knows gRPC. It carries
// messages and decides nothing.
//
// A stream's life: Open, then any number of `message` and, for each Write, one `written`, then `closed`
// exactly once; then Open may be called again. Events are tasks on the loop. Open, Write, Finish and Cancel
// on the loop's thread; ReadShard on any other.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/auth/client_access.h"
#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/agent/loop.h"

namespace lockstep {

class CoordinatorClient {
 public:
  struct Events {
    std::function<void(v1::ConnectResponse)> message;
    std::function<void()> written;
    std::function<void(absl::Status)> closed;  // OK: the coordinator ended it without an error
  };

  // `address` is HOST:PORT; nothing is connected yet. `loop` must outlive this object.
  static std::unique_ptr<CoordinatorClient> Make(const std::string& address, Loop* loop,
                                                 const ClientAccess& access = {});
  virtual ~CoordinatorClient() = default;

  // A new connection and stream. An unreachable coordinator shows as `closed`.
  virtual void Open(Events events) = 0;
  // REQUIRES: an open stream, and the last Write's `written` has come.
  virtual void Write(const v1::ConnectRequest& message) = 0;
  // We have no more to say; what was written still arrives, then `closed` comes. REQUIRES: as for Write.
  virtual void Finish() = 0;
  // Cancels the stream; `closed` follows soon.
  virtual void Cancel() = 0;

  // Blocks. UNAVAILABLE: the coordinator is away. Else its error, or that of `chunk`.
  virtual absl::Status ReadShard(const v1::ReadShardRequest& request,
                                 const std::function<absl::Status(const v1::ReadShardResponse&)>& chunk) = 0;
};

}  // namespace lockstep
