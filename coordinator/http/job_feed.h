// The list of jobs for pages that ask for it every second, for hours: one line of JSON for each job, made
// when the job changes and not when somebody asks. A reader tells the cursor of its last answer and gets what
// changed since.
//
//   controller: which jobs changed? -> store: those jobs -> lines kept here -> the lines after a reader's
//   cursor
//
// Thread-safe. One reader at a time reads the store; the others get what was read at most kFresh ago.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/jobs/controller.h"

namespace lockstep {

class JobFeed {
 public:
  static constexpr absl::Duration kFresh = absl::Milliseconds(200);
  static constexpr int kMostJobs = 2'000;  // the newest ones; `lockstep jobs` lists all

  struct Source {
    std::function<JobChanges(int64_t after)> changes;
    std::function<absl::StatusOr<v1::Job>(const std::string& id)> job;
    std::function<absl::StatusOr<std::vector<v1::Job>>(int most)> newest;  // newest first
    std::function<ControllerSnapshot()> snapshot;
  };

  JobFeed(Source source, Clock* clock);

  // {"cursor", "reset" (the jobs are all there are), "now", "jobs": [...], "states": {...}, "devices":
  // {...}}. A cursor that is not ours (empty, or of an earlier coordinator) gives all.
  // A caller that is bound to a namespace gets its jobs, and states that are counted from them.
  absl::StatusOr<std::string> After(const std::string& cursor, const Scope& scope = {});

 private:
  struct Line {
    int64_t revision = 0;
    std::string json;
    std::string space = "";
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  };

  absl::Status Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(const v1::Job& job, int64_t revision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Source source_;
  Clock* const clock_;
  const std::string incarnation_;  // of the cursors
  absl::Mutex mutex_;
  std::map<std::string, Line> lines_ ABSL_GUARDED_BY(mutex_);  // by id, so by time
  std::map<int64_t, std::string> by_revision_
      ABSL_GUARDED_BY(mutex_);                 // our own revisions: one for each line
  int64_t seen_ ABSL_GUARDED_BY(mutex_) = -1;  // the controller's revision
  int64_t revision_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t oldest_cursor_ ABSL_GUARDED_BY(mutex_) = 0;  // of before: lines were dropped or all were read anew
  absl::Time read_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace lockstep
