// A controller subscription as a server stream: subscription -> bounded queue -> stream. The subscription
// lives as long as the stream's source does, that is, until the reader is gone or the stream has ended.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "coordinator/jobs/controller.h"
#include "coordinator/server/server_stream.h"
#include "coordinator/server/stream_queue.h"

namespace lockstep {

template <typename Response>
class SubscribedSource : public StreamSource<Response> {
 public:
  SubscribedSource(std::shared_ptr<StreamQueue<Response>> queue,
                   std::unique_ptr<Controller::Subscription> subscription)
      : queue_(std::move(queue)), subscription_(std::move(subscription)) {}
  ~SubscribedSource() override { queue_->OnChange(nullptr); }

  absl::StatusOr<Pull> Next(Response* message) override { return queue_->Next(message); }

 private:
  const std::shared_ptr<StreamQueue<Response>> queue_;
  const std::unique_ptr<Controller::Subscription> subscription_;
};

// `subscribe` is given the queue, arranges that messages and the end go into it, and returns the handle.
template <typename Response, typename Subscribe>
grpc::ServerWriteReactor<Response>* StartSubscribedStream(LiveStreams* live,
                                                          typename StreamQueue<Response>::Options options,
                                                          Subscribe subscribe,
                                                          const StreamOwner& owner = {}) {
  auto queue = std::make_shared<StreamQueue<Response>>(std::move(options));
  auto source = std::make_unique<SubscribedSource<Response>>(queue, subscribe(queue));
  const StreamExecutor inline_executor = [](const std::function<void()>& task) { task(); };
  auto stream = ServerStream<Response>::Start(live, inline_executor, std::move(source), owner);
  queue->OnChange([weak = std::weak_ptr<ServerStream<Response>>(stream)] {
    if (auto alive = weak.lock(); alive != nullptr) alive->Wake();
  });
  stream->Wake();  // for what came before the line above
  return stream.get();
}

// A stream that only carries an error.
template <typename Response>
grpc::ServerWriteReactor<Response>* FailStream(LiveStreams* live, const absl::Status& status) {
  class Failed : public StreamSource<Response> {
   public:
    explicit Failed(absl::Status failure) : failure_(std::move(failure)) {}
    absl::StatusOr<Pull> Next(Response*) override { return failure_; }

   private:
    const absl::Status failure_;
  };
  return ServerStream<Response>::Start(
             live, [](const std::function<void()>& task) { task(); }, std::make_unique<Failed>(status))
      .get();
}

}  // namespace lockstep
