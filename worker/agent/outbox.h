// What the coordinator is yet to be told: progress, logs, checkpoints and ends of assignments, in the order
// in which they happened (a job's last lines come before its end). It fills up while there is no stream.
//
// A message that was written may still be lost with the connection, so those of the last seconds are kept and
// go out again on the next stream; the coordinator's store knows points by step and lines by sequence, and
// repeats do no harm. Bounded: beyond the limit the oldest log lines give way to one line that counts them.
// Pure, not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/time/time.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class Outbox {
 public:
  struct Limits {
    size_t log_lines = 20'000;
    size_t log_bytes = size_t{8} << 20;
    int batch_lines = 500;                            // in one message
    size_t batch_bytes = 256 << 10;                   // in one message
    int batch_points = 5'000;                         // in one message
    absl::Duration confirm_after = absl::Seconds(5);  // a message written this long ago has arrived
  };

  Outbox();
  explicit Outbox(const Limits& limits);

  void PushLog(const std::string& job_id, v1::LogLine line);
  void PushProgress(v1::Progress progress);  // joins the last waiting one; points are all kept
  void Push(v1::ConnectRequest message);

  // The message to write now; nullptr: none, or one is being written.
  const v1::ConnectRequest* Next();
  // The message that Next gave is written.
  void Written(absl::Time now);
  // The stream broke: what may be lost is put back in front. Statuses that are not final go: Register has
  // them.
  void Disconnected(absl::Time now);

  // The coordinator has this end on disk: it never goes out again, not to its successor either, for which an
  // old crash would be one of whatever runs on the device by then.
  void Forget(const v1::ForgetAssignment& forget);

  // An assignment's end waits in here.
  bool HasStatus(const v1::AssignmentStatus& status) const;
  bool empty() const { return waiting_.empty(); }
  int64_t dropped_lines() const { return dropped_lines_; }

 private:
  struct Item {
    v1::ConnectRequest message;
    size_t lines = 0;
    size_t bytes = 0;     // of log text
    int64_t dropped = 0;  // lines that its one line stands for
    absl::Time written;
    bool forgotten = false;  // while it was being written
  };

  Item* JoinableBack();
  void DropOldLogs();

  Limits limits_;
  std::deque<Item> waiting_;
  std::deque<Item> unconfirmed_;  // oldest first
  bool writing_ = false;          // the front of waiting_
  size_t lines_ = 0;              // in waiting_
  size_t bytes_ = 0;              // in waiting_
  size_t unconfirmed_bytes_ = 0;  // of log text
  int64_t dropped_lines_ = 0;
};

}  // namespace lockstep
