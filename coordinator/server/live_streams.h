// Every stream that is open, so that a shutdown can end them all with a reason.
//
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"

namespace lockstep {

class LiveStream {
 public:
  virtual ~LiveStream() = default;
  virtual void End(absl::Status status) = 0;
};

class LiveStreams {
 public:
  // A stream that comes after EndAll is ended at once.
  void Add(const std::shared_ptr<LiveStream>& stream) {
    std::optional<absl::Status> ended;
    {
      absl::MutexLock lock(&mutex_);
      ended = ended_;
      if (!ended.has_value()) streams_[stream.get()] = stream;
    }
    if (ended.has_value()) stream->End(*ended);
  }

  void Remove(LiveStream* stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }

  void EndAll(const absl::Status& status) {
    std::vector<std::shared_ptr<LiveStream>> open;
    {
      absl::MutexLock lock(&mutex_);
      ended_ = status;
      for (auto& [key, weak] : streams_) {
        if (auto stream = weak.lock(); stream != nullptr) open.push_back(std::move(stream));
      }
      streams_.clear();
    }
    for (const auto& stream : open) stream->End(status);
  }

  size_t size() {
    absl::MutexLock lock(&mutex_);
    return streams_.size();
  }

 private:
  absl::Mutex mutex_;
  std::map<LiveStream*, std::weak_ptr<LiveStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
