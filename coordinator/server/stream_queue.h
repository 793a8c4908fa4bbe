// A bounded queue between someone who produces messages when they happen (a controller subscription) and a
// stream that sends them when its reader takes them. A reader that falls behind by more than the bound loses
// its stream with RESOURCE_EXHAUSTED: the coordinator's memory is worth more than one reader's convenience.
//
// Thread-safe. Push, End: any thread, never block. Next: one caller at a time.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "coordinator/server/stream_source.h"

namespace lockstep {

template <typename Response>
class StreamQueue {
 public:
  struct Options {
    size_t max_bytes = 8 << 20;  // of messages that wait
    // True if `newer` says all that `older` does: an older one that still waits is then replaced. Null:
    // never.
    std::function<bool(const Response& older, const Response& newer)> supersedes;
    std::string what = "messages";  // named in the error of a slow reader
  };
  explicit StreamQueue(Options options) : options_(std::move(options)) {}

  // `wake` runs after each change that Next may not have seen; null: no longer.
  void OnChange(std::function<void()> wake) {
    absl::MutexLock lock(&mutex_);
    wake_ = wake == nullptr ? nullptr : std::make_shared<std::function<void()>>(std::move(wake));
  }

  void Push(Response message) {
    std::shared_ptr<std::function<void()>> wake;
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return;
      if (!waiting_.empty() && options_.supersedes && options_.supersedes(waiting_.back(), message)) {
        bytes_ -= waiting_.back().ByteSizeLong();
        waiting_.pop_back();
      }
      bytes_ += message.ByteSizeLong();
      waiting_.push_back(std::move(message));
      if (bytes_ > options_.max_bytes) {
        waiting_ = {};
        bytes_ = 0;
        end_ = absl::ResourceExhaustedError(absl::StrCat(
            "this stream's reader is too slow: more than ", options_.max_bytes >> 20, " MiB of ",
            options_.what,
            " were waiting for it, so they were dropped; read faster, or ask again for what is missing"));
      }
      wake = wake_;
    }
    if (wake != nullptr) (*wake)();
  }

  // What waits is still sent. The first End counts.
  void End(absl::Status status) {
    std::shared_ptr<std::function<void()>> wake;
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return;
      end_ = std::move(status);
      wake = wake_;
    }
    if (wake != nullptr) (*wake)();
  }

  absl::StatusOr<Pull> Next(Response* message) {
    absl::MutexLock lock(&mutex_);
    if (!waiting_.empty()) {
      *message = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_ -= message->ByteSizeLong();
      return Pull::kMessage;
    }
    if (!end_.has_value()) return Pull::kNothingYet;
    if (!end_->ok()) return *end_;
    return Pull::kEnd;
  }

 private:
  const Options options_;
  absl::Mutex mutex_;
  std::deque<Response> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<std::function<void()>> wake_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
