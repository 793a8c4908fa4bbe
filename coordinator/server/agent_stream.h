// One agent's Connect stream: its messages go to the controller in order, the controller's orders go back
// through a queue. A session begins with the stream and ends, for the controller, exactly once, when the
// agent closes it, goes silent (keepalive), or is closed by us.
//
// Owns itself until gRPC's OnDone and the controller's last reference. Thread-safe.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/live_streams.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class AgentStream final : public grpc::ServerBidiReactor<v1::ConnectRequest, v1::ConnectResponse>,
                          public AgentSink,
                          public LiveStream,
                          public std::enable_shared_from_this<AgentStream> {
 public:
  // Both must outlive the stream.
  static AgentStream* Start(Controller* controller, LiveStreams* live, const std::string& owner = "");

  // AgentSink.
  void Send(v1::ConnectResponse message) override;
  void Close(absl::Status status) override;

  void End(absl::Status status) override { Close(std::move(status)); }

  // gRPC's reactions.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  AgentStream(Controller* controller, LiveStreams* live) : controller_(controller), live_(live) {}

  void WriteOrFinish();
  void LeaveOnce();

  Controller* const controller_;
  LiveStreams* const live_;
  int64_t session_ = 0;
  std::shared_ptr<AgentStream> self_;
  v1::ConnectRequest incoming_;
  v1::ConnectResponse outgoing_;  // owned by whoever set writing_

  absl::Mutex mutex_;
  std::deque<v1::ConnectResponse> orders_ ABSL_GUARDED_BY(mutex_);
  size_t order_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
