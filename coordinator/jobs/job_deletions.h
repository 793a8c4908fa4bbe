// Deletes jobs that have ended. Only the control thread calls this.
//
//   Delete -> checked, marked (on disk) -> files and most rows go, elsewhere -> Removed -> the last rows go
//                 '-> a restart goes on here (GoOn)                                '-> failed: the mark stays
//
// A marked job can be looked at, but nothing can begin with it any more.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "coordinator/jobs/ledger.h"

namespace lockstep {

class JobDeletions {
 public:
  using Done = Controller::DeleteCallback;
  // `remove` begins to remove what the job has, elsewhere, and reports to Removed.
  JobDeletions(Ledger* ledger, std::function<void(const std::string& job, bool keep_model)> remove)
      : ledger_(ledger), remove_(std::move(remove)) {}

  void Delete(const std::string& job, bool keep_model, const Done& done);
  void Removed(const std::string& job, const absl::StatusOr<int64_t>& freed_bytes);
  // One that was marked before a restart.
  void GoOn(const StoredDeletion& deletion);

 private:
  absl::Status Mark(const std::string& job, bool keep_model);
  absl::Status CheckNotNeeded(const std::string& job, bool keep_model) const;
  absl::StatusOr<Controller::Deleted> Remove(const std::string& job,
                                             const absl::StatusOr<int64_t>& freed_bytes);
  void Begin(const std::string& job);
  void Answer(const std::string& job, const absl::StatusOr<Controller::Deleted>& answer);

  Ledger* const ledger_;
  const std::function<void(const std::string&, bool)> remove_;
  std::map<std::string, std::vector<Done>> waiting_;  // jobs whose files are being removed, and who asked
};

}  // namespace lockstep
