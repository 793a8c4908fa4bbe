// One agent's Connect stream: its messages go to the controller in order, the controller's orders go back
// through a queue. A session begins with the stream and ends, for the controller, exactly once, when the
// agent closes it, goes silent (keepalive), or is closed by us.
//
//   Await --an agent calls--> Reading, Writing --End, Close, the agent is gone--> Finishing --all done-->
//   gone
//
// Served by a completion queue (completion_queues.h), and without interceptors: with one, each message
// costs a second pass through the queue. What they would do is done here: the metrics and the audit log.
//
// Owns itself until its last operation and the controller's last reference. Thread-safe.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/completion_queues.h"
#include "coordinator/server/live_streams.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {

class AgentStream final : public AgentSink,
                          public LiveStream,
                          public std::enable_shared_from_this<AgentStream> {
 public:
  static constexpr char kMethod[] = "lockstep.v1.Workers/Connect";
  using Wire = grpc::ServerAsyncReaderWriter<v1::ConnectResponse, v1::ConnectRequest>;
  // RequestConnect of the service, for a stream on `queue`.
  using Request = std::function<void(grpc::ServerContext* call, Wire* wire,
                                     grpc::ServerCompletionQueue* queue, void* tag)>;

  // Takes the next agent's call, and from then on again the next one, until the server is shut down.
  // What `context` points to must outlive the streams.
  static void Await(const ServiceContext& context, const Request& request,
                    grpc::ServerCompletionQueue* queue);

  // AgentSink.
  void Send(v1::ConnectResponse message) override;
  void Close(absl::Status status) override;

  void End(absl::Status status) override { Close(std::move(status)); }

 private:
  // Everything of gRPC's, gone with the last operation, whoever still knows the stream.
  struct Call {
    grpc::ServerContext context;
    Wire wire{&context};
    std::optional<CallNote> note;  // nothing: there is no audit log
  };

  AgentStream(const ServiceContext& context, const Request& request, grpc::ServerCompletionQueue* queue);

  // The reactions to operations that are done.
  void OnCalled(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished();
  void OnOver();  // the call: cancelled, or its status is sent

  void ReadNext();
  void WriteOrFinish();
  void Finish(const absl::Status& status);
  void LeaveOnce();
  void GoIfDone();

  const ServiceContext context_;
  const Request request_;
  grpc::ServerCompletionQueue* const queue_;
  std::shared_ptr<AgentStream> self_;
  std::unique_ptr<Call> call_;
  QueueTag called_, read_, written_, finish_, over_;
  absl::Time since_;
  int64_t session_ = 0;
  bool noted_ = false;  // of the reading reaction
  v1::ConnectRequest incoming_;
  v1::ConnectResponse outgoing_;  // owned by whoever set writing_

  absl::Mutex mutex_;
  std::deque<v1::ConnectResponse> orders_ ABSL_GUARDED_BY(mutex_);
  size_t order_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
