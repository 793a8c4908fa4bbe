// What people ask for: submit, cancel, pause, resume. Each answers after its round is on disk. Only the
// control thread calls this.
#pragma once

#include <optional>
#include <string>

#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/job_id.h"
#include "coordinator/jobs/ledger.h"
#include "coordinator/jobs/restore.h"

namespace lockstep {

struct Submission {
  v1::JobSpec spec;
  std::string request_id;
  v1::Dataset dataset;
  std::string from_path;  // spec.from, resolved
  std::string space;      // its namespace
};

class JobCommands {
 public:
  JobCommands(Ledger* ledger, Generations* generations, const std::string& last_job_id)
      : ledger_(ledger), generations_(generations), ids_(last_job_id) {}

  void Submit(const Submission& submission, const Controller::JobCallback& done);
  void Cancel(const std::string& job, const Controller::JobCallback& done);
  void Pause(const std::string& job, const Controller::JobCallback& done);
  void Scale(const std::string& job, int workers, const Controller::JobCallback& done);
  // `restore` is what the caller found for it; without one the newest checkpoint is looked for meanwhile.
  void Resume(const std::string& job, const std::optional<Restore>& restore,
              const std::function<void(const std::string&)>& resolve, const Controller::JobCallback& done);
  // The answer to a search for the newest checkpoint.
  void Resolved(const std::string& job, const absl::StatusOr<Restore>& restore);

  int64_t submits() const { return submits_; }

  // Equal for equal specs: what a repeated request id is compared by.
  static std::string Digest(const v1::JobSpec& spec);

 private:
  absl::Status CheckSource(const Submission& submission) const;
  void Answer(const std::string& job, const Controller::JobCallback& done);
  void Refuse(absl::Status status, const Controller::JobCallback& done);

  Ledger* const ledger_;
  Generations* const generations_;
  JobIds ids_;
  int64_t submits_ = 0;
};

}  // namespace lockstep
