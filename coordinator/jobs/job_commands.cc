#include "coordinator/jobs/job_commands.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/escaping.h"
#include "common/base/proto_time.h"
#include "coordinator/jobs/job_files.h"
#include "coordinator/jobs/namespace_commands.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {

// The spec's bytes themselves, maps in a fixed order: no hash, so no collision.
std::string JobCommands::Digest(const v1::JobSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  return absl::Base64Escape(bytes);
}

void JobCommands::Answer(const std::string& id, const Controller::JobCallback& done) {
  ledger_->AfterCommit([this, id, done] {
    if (const JobRecord* job = ledger_->FindJob(id)) return done(job->stored.job);
    auto stored = ledger_->store()->GetJob(id);
    if (!stored.ok()) return done(stored.status());
    done(std::move(stored->job));
  });
}

void JobCommands::Refuse(absl::Status status, const Controller::JobCallback& done) {
  ledger_->AfterCommit([status = std::move(status), done] { done(status); });
}

void JobCommands::Submit(const Submission& submission, const Controller::JobCallback& done) {
  const std::string& request_id = submission.request_id;
  const std::string digest = request_id.empty() ? "" : Digest(submission.spec);
  if (!request_id.empty()) {
    std::optional<StoredRequest> first;
    if (const auto here = ledger_->requests().find(request_id); here != ledger_->requests().end()) {
      first = here->second;
    } else {
      auto found = ledger_->store()->FindRequest(request_id);
      if (!found.ok()) return Refuse(found.status(), done);
      first = *std::move(found);
    }
    if (first.has_value() && first->spec_digest != digest) {
      return Refuse(absl::AlreadyExistsError(
                        absl::StrCat("request id '", request_id, "' was used for job ", first->job_id,
                                     " with another spec; a new submission needs a new request id")),
                    done);
    }
    if (first.has_value()) return Answer(first->job_id, done);
  }

  absl::Status admitted = AdmitTo(*ledger_, submission.space, std::max(1, submission.spec.workers().min()));
  if (!admitted.ok()) return Refuse(std::move(admitted), done);
  if (absl::Status source = CheckSource(submission); !source.ok()) return Refuse(std::move(source), done);
  auto dataset = ledger_->ShareDataset(submission.dataset);
  if (!dataset.ok()) return Refuse(dataset.status(), done);
  JobRecord job;
  job.dataset = *std::move(dataset);
  job.stored.restore_from = submission.from_path;
  job.stored.from_path = submission.from_path;
  job.stored.weights_only = !submission.from_path.empty();
  if (!submission.from_path.empty()) job.note = absl::StrCat("from ", submission.from_path);
  v1::Job& stored = job.stored.job;
  const absl::Time now = ledger_->now();
  const std::string id = ids_.Next(now);
  stored.set_id(id);
  stored.set_namespace_(submission.space);
  stored.set_name(submission.spec.name().empty() ? id : submission.spec.name());
  *stored.mutable_spec() = submission.spec;
  *stored.mutable_submitted_at() = ToProto(now);
  stored.set_dataset_version(absl::StrCat(job.dataset->name(), "@", job.dataset->version()));
  stored.set_dataset_fingerprint(job.dataset->fingerprint());
  ledger_->Move(ledger_->AddJob(std::move(job)), v1::JOB_STATE_QUEUED, "queued");
  if (!request_id.empty()) ledger_->requests()[request_id] = {request_id, id, digest};
  ++submits_;
  Answer(id, done);
}

// The job that it begins from was there when the caller looked.
absl::Status JobCommands::CheckSource(const Submission& submission) const {
  const v1::CheckpointSource& from = submission.spec.from();
  for (const std::string& path : {submission.from_path, from.safetensors()}) {
    const std::string source = JobOfPath(ledger_->options().artifact_root, path);
    if (source.empty()) continue;
    if (ledger_->IsDeleted(source) || (!from.job().empty() && !ledger_->IsKnown(source))) {
      return absl::NotFoundError(absl::StrCat("from: job ", source, " is deleted, and ", path, " with it"));
    }
  }
  return absl::OkStatus();
}

void JobCommands::Cancel(const std::string& id_or_name, const Controller::JobCallback& done) {
  auto id = ledger_->ResolveJob(id_or_name);
  if (!id.ok()) return Refuse(id.status(), done);
  auto job = ledger_->LoadJob(*id);
  if (!job.ok()) return Refuse(job.status(), done);
  const v1::JobState state = (*job)->state();
  if (state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED) {
    return Refuse(absl::FailedPreconditionError(absl::StrCat(
                      "job ", *id, " cannot be cancelled: it has already ", JobStateName(state))),
                  done);
  }
  if (state != v1::JOB_STATE_CANCELLED) {
    (*job)->stored.job.set_cancel_requested(true);
    generations_->ApplyWishes(*id);
  }
  Answer(*id, done);
}

void JobCommands::Pause(const std::string& id_or_name, const Controller::JobCallback& done) {
  auto id = ledger_->ResolveJob(id_or_name);
  if (!id.ok()) return Refuse(id.status(), done);
  auto job = ledger_->LoadJob(*id);
  if (!job.ok()) return Refuse(job.status(), done);
  const v1::JobState state = (*job)->state();
  if (IsFinal(state)) {
    return Refuse(absl::FailedPreconditionError(
                      absl::StrCat("job ", *id, " cannot be paused: it is ", JobStateName(state))),
                  done);
  }
  if (state != v1::JOB_STATE_PAUSED) {
    (*job)->stored.job.set_pause_requested(true);
    (*job)->requeue_when_stopped = false;
    generations_->ApplyWishes(*id);
  }
  Answer(*id, done);
}

void JobCommands::Scale(const std::string& id_or_name, int workers, const Controller::JobCallback& done) {
  auto id = ledger_->ResolveJob(id_or_name);
  if (!id.ok()) return Refuse(id.status(), done);
  auto job = ledger_->LoadJob(*id);
  if (!job.ok()) return Refuse(job.status(), done);
  v1::Job& stored = (*job)->stored.job;
  if (IsFinal((*job)->state())) {
    return Refuse(absl::FailedPreconditionError(
                      absl::StrCat("job ", *id, " cannot be scaled: it is ", JobStateName((*job)->state()))),
                  done);
  }
  const int most = std::max(1, stored.spec().train().logical_shards());
  if (workers < 1 || workers > most) {
    return Refuse(
        absl::InvalidArgumentError(absl::StrCat(
            "job ", *id, " cannot run on ", workers, " workers: expected 1 to ", most,
            ", the number of its logical shards (train.logical_shards): a shard is one worker's work")),
        done);
  }
  stored.set_workers_wanted(workers);
  ledger_->WantSchedule();
  Answer(*id, done);
}

void JobCommands::Resume(const std::string& id_or_name, const std::optional<Restore>& restore,
                         const std::function<void(const std::string&)>& resolve,
                         const Controller::JobCallback& done) {
  auto id = ledger_->ResolveJob(id_or_name);
  if (!id.ok()) return Refuse(id.status(), done);
  auto loaded = ledger_->LoadJob(*id);
  if (!loaded.ok()) return Refuse(loaded.status(), done);
  JobRecord* job = *loaded;
  v1::Job& stored = job->stored.job;
  if (ledger_->IsDeleted(*id)) {
    return Refuse(absl::FailedPreconditionError(
                      absl::StrCat("job ", *id, " is being deleted, and cannot be resumed any more")),
                  done);
  }
  switch (job->state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return Refuse(
          absl::FailedPreconditionError(absl::StrCat(
              "job ", *id, " has succeeded: there is nothing to resume; a new job can start from it ",
              "with `from: {job: ", *id, "}`")),
          done);
    case v1::JOB_STATE_PAUSED:
    case v1::JOB_STATE_FAILED:
    case v1::JOB_STATE_CANCELLED:
      if (IsFinal(job->state())) {  // a paused one is among the unfinished already
        absl::Status admitted = AdmitTo(*ledger_, stored.namespace_(), LeastWorkers(stored));
        if (!admitted.ok()) return Refuse(std::move(admitted), done);
      }
      stored.set_pause_requested(false);
      stored.set_cancel_requested(false);
      job->members.clear();
      job->deadline = absl::InfiniteFuture();
      job->failures = 0;
      job->avoid.clear();
      job->lost_newcomers.clear();
      ledger_->Move(job, v1::JOB_STATE_QUEUED,
                    restore.has_value() ? absl::StrCat("resumed ", restore->note) : std::string("resumed"));
      if (restore.has_value()) {
        job->stored.restore_from = restore->path;
        job->stored.weights_only = restore->weights_only;
        job->note = restore->note;
      } else {
        job->stored.restore_from = kNewestCheckpoint;
        ledger_->AfterCommit([resolve, id = *id] { resolve(id); });
      }
      break;
    default:
      // The wish to pause is withdrawn; if the trainers have been told already, the job is queued again.
      if (stored.pause_requested()) {
        stored.set_pause_requested(false);
        job->requeue_when_stopped = job->stop == v1::Stop::MODE_PAUSE;
      }
  }
  Answer(*id, done);
}

void JobCommands::Resolved(const std::string& id, const absl::StatusOr<Restore>& restore) {
  JobRecord* job = ledger_->EditJob(id);
  if (job == nullptr || job->stored.restore_from != kNewestCheckpoint) return;
  if (job->state() != v1::JOB_STATE_QUEUED) return;
  if (!restore.ok()) {
    ledger_->Move(job, v1::JOB_STATE_FAILED, std::string(restore.status().message()));
    return;
  }
  job->stored.restore_from = restore->path;
  job->stored.weights_only = restore->weights_only;
  job->note = restore->note;
  job->stored.job.set_reason(absl::StrCat(job->stored.job.reason(), "; goes on ", restore->note));
  ledger_->WantSchedule();
}

}  // namespace lockstep
