// The one reactor behind every server-streaming call: pulls a message from its source, writes it, pulls the
// next one when that write is done. The next message is not made before the reader took the last one, so a
// slow reader costs one message, whatever the source.
//
//   Idle --Wake--> Pulling --message--> Writing --written--> Pulling
//     ^              |  |                                      |
//     +-nothing yet--+  +-------- end, error, cancel ----------+--> Finished
//
// Owns itself from Start until gRPC's OnDone. Thread-safe. The source is dropped as soon as the call is
// cancelled or ended, but never on the thread that is just pulling from it or waking it: it may hold a
// subscription that waits for that thread.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/net/grpc_status.h"
#include "coordinator/server/live_streams.h"
#include "coordinator/server/stream_source.h"

namespace lockstep {

// Runs a task now, or on another thread if the source may block.
using StreamExecutor = std::function<void(std::function<void()>)>;

template <typename Response>
class ServerStream final : public grpc::ServerWriteReactor<Response>,
                           public LiveStream,
                           public std::enable_shared_from_this<ServerStream<Response>> {
 public:
  // `live` must outlive the stream. `owner`: see LiveStreams.
  static std::shared_ptr<ServerStream> Start(LiveStreams* live, StreamExecutor executor,
                                             std::unique_ptr<StreamSource<Response>> source,
                                             const StreamOwner& owner = {}) {
    std::shared_ptr<ServerStream> stream(new ServerStream(live, std::move(executor), std::move(source)));
    stream->self_ = stream;
    live->Add(stream, owner);
    stream->Wake();
    return stream;
  }

  // The source may have something new.
  void Wake() {
    {
      absl::MutexLock lock(&mutex_);
      woken_ = true;
      if (state_ != State::kIdle) return;
      state_ = State::kPulling;
    }
    SchedulePull();
  }

  void End(absl::Status status) override {
    std::unique_ptr<StreamSource<Response>> dropped;
    bool finish = false;
    {
      absl::MutexLock lock(&mutex_);
      if (state_ == State::kFinished) return;
      if (!end_.has_value()) end_ = std::move(status);
      if (state_ != State::kPulling) dropped = std::move(source_);
      if (state_ == State::kIdle) {
        state_ = State::kFinished;
        finish = true;
      }
    }
    if (finish) FinishNow();
  }

  void OnWriteDone(bool ok) override {
    bool finish = false;
    {
      absl::MutexLock lock(&mutex_);
      if (!ok && !end_.has_value()) end_ = absl::CancelledError("the reader is gone");
      if (end_.has_value()) {
        state_ = State::kFinished;
        finish = true;
      } else {
        state_ = State::kPulling;
      }
    }
    if (finish) {
      FinishNow();
    } else {
      SchedulePull();
    }
  }

  void OnCancel() override { End(absl::CancelledError("the reader is gone")); }

  void OnDone() override {
    live_->Remove(this);
    std::unique_ptr<StreamSource<Response>> dropped;
    {
      absl::MutexLock lock(&mutex_);
      dropped = std::move(source_);
    }
    dropped.reset();
    const auto last = std::move(self_);  // deletes this on return, unless a task still holds it
  }

 private:
  enum class State { kIdle, kPulling, kWriting, kFinished };

  ServerStream(LiveStreams* live, StreamExecutor executor, std::unique_ptr<StreamSource<Response>> source)
      : live_(live), executor_(std::move(executor)), source_(std::move(source)) {}

  void SchedulePull() {
    executor_([self = this->shared_from_this()] { self->PullNow(); });
  }

  void PullNow() {
    enum class Then { kAgain, kWait, kWrite, kFinish } then = Then::kAgain;
    while (then == Then::kAgain) {
      StreamSource<Response>* source = nullptr;
      {
        absl::MutexLock lock(&mutex_);
        woken_ = false;
        if (!end_.has_value()) source = source_.get();
      }
      absl::StatusOr<Pull> pulled = Pull::kEnd;
      if (source != nullptr) pulled = source->Next(&message_);
      absl::MutexLock lock(&mutex_);
      if (!end_.has_value()) {
        if (!pulled.ok()) end_ = pulled.status();
        if (pulled.ok() && *pulled == Pull::kEnd) end_ = absl::OkStatus();
      }
      if (end_.has_value()) {
        state_ = State::kFinished;
        then = Then::kFinish;
      } else if (*pulled == Pull::kMessage) {
        state_ = State::kWriting;
        then = Then::kWrite;
      } else if (!woken_) {
        state_ = State::kIdle;
        then = Then::kWait;
      }
    }
    if (then == Then::kWrite) this->StartWrite(&message_);
    if (then == Then::kFinish) FinishNow();
  }

  // REQUIRES: this caller moved state_ to kFinished.
  void FinishNow() {
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      status = *end_;
    }
    this->Finish(ToGrpc(status));
  }

  LiveStreams* const live_;
  const StreamExecutor executor_;
  Response message_;  // owned by whoever moved state_ to kPulling or kWriting
  std::shared_ptr<ServerStream> self_;

  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<StreamSource<Response>> source_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
