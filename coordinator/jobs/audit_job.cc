#include "coordinator/jobs/audit_job.h"

#include "absl/strings/str_cat.h"
#include "common/audit/audit.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/durable_file.h"
#include "coordinator/jobs/restore.h"

namespace lockstep {
namespace {

// The folder whose record counts, verified.
absl::StatusOr<CheckpointInfo> Source(const std::string& artifact_root, const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    ASSIGN_OR_RETURN(OpenedCheckpoint model, OpenCheckpoint(job.model_path()));
    return model.info;
  }
  auto newest = NewestWhole(CheckpointDirectory(artifact_root, job.id()), nullptr);
  if (absl::IsNotFound(newest.status())) {
    return absl::NotFoundError(absl::StrCat("job '", job.name(),
                                            "' has no checkpoint yet, and so no record of its samples; ",
                                            "`lockstep checkpoints` shows when it has"));
  }
  return newest;
}

}  // namespace

absl::StatusOr<v1::AuditJobResponse> AuditJob(const std::string& artifact_root, const v1::Job& job) {
  ASSIGN_OR_RETURN(const CheckpointInfo info, Source(artifact_root, job));
  const absl::StatusOr<std::string> text =
      ReadSmallFile(absl::StrCat(info.path, "/", kLedgerName), kMaxLedgerBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::DataLossError(absl::StrCat(info.path, " has no ", kLedgerName,
                                            ": it was written by a version that kept no record of samples"));
  }
  RETURN_IF_ERROR(text.status());
  const absl::StatusOr<SampleLedger> ledger = SampleLedger::Parse(*text);
  if (!ledger.ok()) return Annotate(ledger.status(), info.path);
  const Audit audit = AuditSamples(*ledger, job.spec().seed(), info.manifest.step);
  v1::AuditJobResponse response;
  response.set_proved(audit.problems.empty());
  response.set_steps(audit.steps);
  response.set_epochs(audit.epochs);
  response.set_samples(audit.samples);
  response.set_samples_of_last(audit.samples_of_last);
  response.mutable_problems()->Assign(audit.problems.begin(), audit.problems.end());
  response.set_source(info.path);
  return response;
}

}  // namespace lockstep
