// The audit log: who changed what, and who was turned away. Lines are appended and chained
// (common/auth/audit_chain.h), and never contain a token.
//
//   Append --> queue --> one thread: all that wait are written, one fsync, then their callbacks run
//
// so that many calls share an fsync and no thread that serves them waits for the disk. A file that would
// become longer than a limit is renamed (`audit.log.1`, the next one `.2`, ...) and never touched again;
// nothing is deleted here.
//
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/auth/rate_limit.h"

namespace lockstep {

struct AuditEntry {
  std::string who;          // the token's name; empty: unknown
  std::string role;         // the token's
  std::string certificate;  // the client's subject, under mTLS
  std::string peer;         // "ipv4:10.0.0.7:51234"; unknown for a call that was turned away by its metadata
  std::string rpc;          // "lockstep.v1.Jobs/SubmitJob"
  std::string job;          // its id or, where a call has no answer, what the caller named it
  std::string target;       // of calls that are not about a job: a worker, a token, a dataset
  std::string outcome;      // "OK", "PERMISSION_DENIED", or "OPENED" of a stream
  std::string reason;       // of an error
};

class AuditLog {
 public:
  // Goes on with a file that is there, or else after the newest of the renamed ones. A line that a crash cut
  // off is removed: nobody was answered for it. `limit`: bytes of one file, exceeded by what is written at
  // once at most. DATA_LOSS: the last line is not one of an audit log. `clock` must outlive the log.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& path, Clock* clock,
                                                        int64_t limit = int64_t{64} << 20);
  ~AuditLog();  // writes what waits

  // `written` runs on the log's thread when the line is on disk, or cannot be; it may be empty.
  void Append(AuditEntry entry, std::function<void()> written = nullptr);

  // For calls that were turned away: at most some a second are written, and how many were not stands in the
  // next. Whoever has no token could fill the disk otherwise.
  void AppendDenied(AuditEntry entry);

  // UNAVAILABLE: the last write failed, so nothing should be changed before one succeeds. Append tries again.
  absl::Status status() const;

 private:
  struct Waiting {
    AuditEntry entry;
    absl::Time time;
    int64_t suppressed = 0;
    std::function<void()> written;
  };

  AuditLog(std::string path, int fd, int64_t size, int64_t lines, std::string head, int64_t limit,
           Clock* clock);
  void Loop();
  // Goes on in a new file. Where that fails, with the old one: a log that is too long is better than none.
  void BeginFile();
  absl::Status Write(const std::vector<Waiting>& batch);
  bool HasWorkOrStops() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || !waiting_.empty(); }

  const std::string path_;
  const int64_t limit_;
  Clock* const clock_;
  int fd_;                // of the writing thread
  int64_t size_, lines_;  // of the writing thread
  std::string head_;      // of the writing thread

  mutable absl::Mutex mutex_;
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  RateLimit denied_ ABSL_GUARDED_BY(mutex_){10, 100};
  int64_t suppressed_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace lockstep
