// Ends open streams whose token is no longer valid: at once when one is revoked, within a second when one
// expires.
#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/auth/token_store.h"
#include "coordinator/server/live_streams.h"

namespace lockstep {

class StreamWarden {
 public:
  // Both must outlive the warden.
  StreamWarden(TokenStore* tokens, LiveStreams* live) : tokens_(tokens), live_(live) {
    tokens_->OnRevoked([this] {
      absl::MutexLock lock(&mutex_);
      woken_ = true;
    });
    thread_ = std::thread([this] { Loop(); });
  }

  ~StreamWarden() {
    tokens_->OnRevoked(nullptr);
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = woken_ = true;
    }
    thread_.join();
  }

 private:
  void Loop() {
    for (;;) {
      {
        absl::MutexLock lock(&mutex_);
        mutex_.AwaitWithTimeout(absl::Condition(&woken_), absl::Seconds(1));
        woken_ = false;
        if (stopping_) return;
      }
      live_->EndWhere([this](const std::string& owner) {
        const auto token = tokens_->Find(owner);
        return token.has_value() ? tokens_->CheckValid(*token)
                                 : absl::UnauthenticatedError("the token is not known here any more");
      });
    }
  }

  TokenStore* const tokens_;
  LiveStreams* const live_;
  absl::Mutex mutex_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace lockstep
