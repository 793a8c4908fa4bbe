// Every stream that is open, so that a shutdown can end them all with a reason, and whoever revokes a token
// those of its owner.
//
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
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
  // `owner`: what EndWhere asks about; empty: nobody.
  void Add(const std::shared_ptr<LiveStream>& stream, const std::string& owner = "") {
    std::optional<absl::Status> ended;
    {
      absl::MutexLock lock(&mutex_);
      ended = ended_;
      if (!ended.has_value()) streams_[stream.get()] = {stream, owner};
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
      for (auto& [key, entry] : streams_) {
        if (auto stream = entry.stream.lock(); stream != nullptr) open.push_back(std::move(stream));
      }
      streams_.clear();
    }
    for (const auto& stream : open) stream->End(status);
  }

  // Ends the streams for whose owner `verdict` is an error, with it.
  void EndWhere(const std::function<absl::Status(const std::string& owner)>& verdict) {
    std::vector<std::pair<std::shared_ptr<LiveStream>, std::string>> open;
    {
      absl::MutexLock lock(&mutex_);
      for (auto& [key, entry] : streams_) {
        if (entry.owner.empty()) continue;
        if (auto stream = entry.stream.lock(); stream != nullptr)
          open.emplace_back(std::move(stream), entry.owner);
      }
    }
    for (const auto& [stream, owner] : open) {
      if (absl::Status status = verdict(owner); !status.ok()) stream->End(std::move(status));
    }
  }

  size_t size() {
    absl::MutexLock lock(&mutex_);
    return streams_.size();
  }

 private:
  struct Entry {
    std::weak_ptr<LiveStream> stream;
    std::string owner;
  };

  absl::Mutex mutex_;
  std::map<LiveStream*, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
