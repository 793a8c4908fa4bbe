// The channel to a coordinator, and the one place that decides when an attempt is repeated. Internal to the
// client library; the only header here with gRPC in it.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "client/library/client.h"

namespace lockstep {

class Connection {
 public:
  explicit Connection(Client::Options options);

  // One try. Sets *progressed when the coordinator has answered something, which starts the patience anew.
  using Attempt = std::function<grpc::Status(grpc::ClientContext* context, bool* progressed)>;

  // Repeats `attempt` while it is UNAVAILABLE and patience lasts. REQUIRES: a repetition does no harm.
  absl::Status Call(const Attempt& attempt, absl::Duration timeout_per_attempt);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  absl::Status WaitConnected(absl::Time give_up);
  absl::Status NoCoordinator() const;
  absl::Status TlsProblem() const;
  absl::Status CheckToken() const;
  void ReportWaiting();

  const Client::Options options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::atomic<bool> reported_{false};
};

// Reads until the end or until `next` returns false, which is a success.
template <typename Response, typename Next>
grpc::Status ReadStream(grpc::ClientReader<Response>* reader, grpc::ClientContext* context, bool* progressed,
                        const Next& next) {
  Response response;
  while (reader->Read(&response)) {
    *progressed = true;
    if (next(response)) continue;
    context->TryCancel();
    while (reader->Read(&response)) {
    }
    reader->Finish();
    return grpc::Status::OK;
  }
  return reader->Finish();
}

}  // namespace lockstep
