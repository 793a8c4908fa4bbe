// Every stream that is open, so that a shutdown can end them all with a reason, and whoever revokes a token
// those of its owner. One connection may have so many: gRPC's own limit binds a client only once it has
// acknowledged the server's settings, which a hostile one need not.
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
#include "common/net/limits.h"

namespace lockstep {

class LiveStream {
 public:
  virtual ~LiveStream() = default;
  virtual void End(absl::Status status) = 0;
};

struct StreamOwner {
  std::string token;       // what EndWhere asks about; empty: nobody
  std::string connection;  // "ipv4:10.0.0.7:51234"; empty: not counted
};

class LiveStreams {
 public:
  // Twice what honest clients are held to: a stream that ended is counted until gRPC is done with it.
  static constexpr int kMostOfConnection = 2 * kMaxStreamsPerConnection;

  // A stream that comes after EndAll is ended at once, and so is one too many (RESOURCE_EXHAUSTED).
  void Add(const std::shared_ptr<LiveStream>& stream, const StreamOwner& owner = {}) {
    std::optional<absl::Status> ended;
    {
      absl::MutexLock lock(&mutex_);
      ended = ended_;
      if (!ended.has_value()) {
        streams_[stream.get()] = {stream, owner};
        if (!owner.connection.empty() && ++of_connection_[owner.connection] > kMostOfConnection) {
          ended = absl::ResourceExhaustedError(
              absl::StrCat("this connection has ", kMostOfConnection,
                           " open streams already; end some, or open another connection"));
        }
      }
    }
    if (ended.has_value()) stream->End(*ended);
  }

  void Remove(LiveStream* stream) {
    absl::MutexLock lock(&mutex_);
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    const auto counted = of_connection_.find(found->second.owner.connection);
    if (counted != of_connection_.end() && --counted->second == 0) of_connection_.erase(counted);
    streams_.erase(found);
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
      of_connection_.clear();
    }
    for (const auto& stream : open) stream->End(status);
  }

  // Ends the streams for whose owner `verdict` is an error, with it.
  void EndWhere(const std::function<absl::Status(const std::string& owner)>& verdict) {
    std::vector<std::pair<std::shared_ptr<LiveStream>, std::string>> open;
    {
      absl::MutexLock lock(&mutex_);
      for (auto& [key, entry] : streams_) {
        if (entry.owner.token.empty()) continue;
        if (auto stream = entry.stream.lock(); stream != nullptr)
          open.emplace_back(std::move(stream), entry.owner.token);
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
    StreamOwner owner;
  };

  absl::Mutex mutex_;
  std::map<LiveStream*, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> of_connection_ ABSL_GUARDED_BY(mutex_);  // of those alone that have some
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lockstep
