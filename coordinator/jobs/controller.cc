#include "coordinator/jobs/controller.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/checkpoint/describe.h"
#include "coordinator/jobs/artifact_root.h"
#include "coordinator/jobs/audit_job.h"
#include "coordinator/jobs/chaos.h"
#include "coordinator/jobs/controller_impl.h"
#include "coordinator/jobs/job_reference.h"
#include "coordinator/jobs/restore.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {

absl::StatusOr<std::unique_ptr<Controller>> Controller::Start(const Options& options, Store* store,
                                                              Clock* clock) {
  ASSIGN_OR_RETURN(const std::string root_id, PrepareArtifactRoot(options.artifact_root));
  ASSIGN_OR_RETURN(const std::string last_id, store->LastJobId());
  auto impl = std::make_unique<Impl>(options, store, clock, root_id, last_id);
  RETURN_IF_ERROR(impl->Load());
  impl->loop.Start();
  return std::unique_ptr<Controller>(new Controller(std::move(impl)));
}

Controller::Controller(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Controller::~Controller() = default;

void Controller::Submit(v1::JobSpec spec, std::string request_id, v1::Dataset dataset, JobCallback done,
                        JobOwner owner) {
  // Request ids are a namespace's own, so that nobody learns of another's job by one. Plain ones of the
  // default namespace are what they were before there were others.
  const bool plain = owner.space == kDefaultNamespace && request_id.find('/') == std::string::npos;
  if (!request_id.empty() && !plain) request_id = absl::StrCat(owner.space, "/", request_id);
  Submission submission{std::move(spec), std::move(request_id), std::move(dataset), "", owner.space};
  if (submission.spec.has_from()) {
    // A repeated request must get its job even if the checkpoint that it started from is gone by now.
    auto repeated = submission.request_id.empty() ? std::optional<StoredRequest>()
                                                  : impl_->store->FindRequest(submission.request_id);
    if (!repeated.ok()) return done(repeated.status());
    if (!repeated->has_value()) {
      auto path = ResolveSource(impl_->options.artifact_root, impl_->store, submission.spec, owner.space,
                                owner.scope);
      if (!path.ok()) return done(path.status());
      submission.from_path = *std::move(path);
    }
  }
  impl_->PostCall(std::move(done),
                  [impl = impl_.get(), submission = std::move(submission)](const JobCallback& callback) {
                    impl->commands.Submit(submission, callback);
                  });
}

void Controller::Cancel(std::string job, JobCallback done) {
  impl_->PostCall(std::move(done), [impl = impl_.get(), job = std::move(job)](const JobCallback& callback) {
    impl->commands.Cancel(job, callback);
  });
}

void Controller::Pause(std::string job, JobCallback done) {
  impl_->PostCall(std::move(done), [impl = impl_.get(), job = std::move(job)](const JobCallback& callback) {
    impl->commands.Pause(job, callback);
  });
}

void Controller::Scale(std::string job, int workers, JobCallback done) {
  impl_->PostCall(std::move(done),
                  [impl = impl_.get(), job = std::move(job), workers](const JobCallback& callback) {
                    impl->commands.Scale(job, workers, callback);
                  });
}

void Controller::Delete(std::string job, bool keep_model, DeleteCallback done) {
  ControlEvent event;
  event.apply = [impl = impl_.get(), job = std::move(job), keep_model, done] {
    impl->deletions.Delete(job, keep_model, done);
  };
  event.fail = [done](const absl::Status& status) { done(status); };
  impl_->loop.Post(std::move(event));
}

void Controller::Cordon(v1::CordonWorkerRequest request,
                        std::function<void(absl::StatusOr<v1::Cordon>)> done) {
  ControlEvent event;
  event.apply = [impl = impl_.get(), request = std::move(request), done] {
    impl->cordons.Set(request, done);
  };
  event.fail = [done](const absl::Status& status) { done(status); };
  impl_->loop.Post(std::move(event));
}

void Controller::Uncordon(v1::UncordonWorkerRequest request,
                          std::function<void(absl::StatusOr<std::vector<v1::Cordon>>)> done) {
  ControlEvent event;
  event.apply = [impl = impl_.get(), request = std::move(request), done] {
    impl->cordons.Remove(request, done);
  };
  event.fail = [done](const absl::Status& status) { done(status); };
  impl_->loop.Post(std::move(event));
}

void Controller::Inject(v1::Fault fault, std::function<void(absl::Status)> done) {
  ControlEvent event;
  event.apply = [impl = impl_.get(), fault = std::move(fault), done] {
    InjectFault(&impl->ledger, fault, done);
  };
  event.fail = done;
  impl_->loop.Post(std::move(event));
}

// Verifying checkpoints takes long and belongs to the caller's thread; it also gives the caller the error.
void Controller::Resume(std::string job, JobCallback done) {
  std::optional<Restore> restore;
  if (auto stored = FindStoredJob(impl_->store, job); stored.ok()) {
    const v1::JobState state = stored->job.state();
    if (state == v1::JOB_STATE_PAUSED || state == v1::JOB_STATE_FAILED || state == v1::JOB_STATE_CANCELLED) {
      auto newest = NewestRestore(impl_->options.artifact_root, *stored);
      if (!newest.ok()) return done(newest.status());
      restore = *std::move(newest);
      job = stored->job.id();
    }
  }
  impl_->PostCall(std::move(done),
                  [impl = impl_.get(), job = std::move(job), restore](const JobCallback& callback) {
                    impl->commands.Resume(
                        job, restore, [impl](const std::string& id) { impl->Resolve(id); }, callback);
                  });
}

absl::StatusOr<v1::Job> Controller::GetJob(const std::string& reference, const Scope& scope) {
  ASSIGN_OR_RETURN(StoredJob job, FindStoredJob(impl_->store, reference, scope));
  return std::move(job.job);
}

absl::StatusOr<v1::ListJobsResponse> Controller::ListJobs(const v1::ListJobsRequest& request,
                                                          const Scope& scope) {
  const int size = request.page_size() <= 0 ? 100 : std::min(request.page_size(), 1'000);
  JobFilter filter;
  for (const int state : request.states()) filter.states.push_back(static_cast<v1::JobState>(state));
  ASSIGN_OR_RETURN(filter.space, scope.Filter(request.namespace_()));
  // One more than asked for tells whether there is a next page.
  ASSIGN_OR_RETURN(auto jobs, impl_->store->ListJobs(filter, request.page_token(), size + 1));
  // Finished jobs of one that was deleted are still listed.
  if (jobs.empty() && !filter.space.empty()) RETURN_IF_ERROR(CheckNamespace(filter.space));
  v1::ListJobsResponse response;
  const bool more = static_cast<int>(jobs.size()) > size;
  if (more) jobs.resize(size);
  for (StoredJob& stored : jobs) *response.add_jobs() = std::move(stored.job);
  if (more) response.set_next_page_token(response.jobs(response.jobs_size() - 1).id());
  return response;
}

std::vector<v1::Worker> Controller::ListWorkers() { return impl_->published.Workers(impl_->clock->Now()); }

ControllerSnapshot Controller::Snapshot() { return impl_->published.Snapshot(); }

JobChanges Controller::ChangedJobs(int64_t after_revision) {
  return impl_->published.ChangedJobs(after_revision);
}

std::vector<FleetEvent> Controller::FleetEvents() { return impl_->published.FleetEvents(); }

absl::StatusOr<std::vector<v1::Checkpoint>> Controller::ListCheckpoints(const std::string& job) {
  ASSIGN_OR_RETURN(const v1::Job found, GetJob(job));
  ASSIGN_OR_RETURN(auto checkpoints,
                   DescribeCheckpoints(CheckpointDirectory(impl_->options.artifact_root, found.id())));
  for (v1::Checkpoint& checkpoint : checkpoints) checkpoint.set_job_id(found.id());
  return checkpoints;
}

absl::StatusOr<v1::AuditJobResponse> Controller::Audit(const std::string& job) {
  ASSIGN_OR_RETURN(const v1::Job found, GetJob(job));
  return AuditJob(impl_->options.artifact_root, found);
}

std::vector<v1::Model> Controller::ListModels(const std::string& space) {
  std::vector<v1::Model> models;
  std::string before;
  while (true) {
    auto jobs = impl_->store->ListJobs({.states = {v1::JOB_STATE_SUCCEEDED}, .space = space}, before, 100);
    if (!jobs.ok() || jobs->empty()) return models;
    for (const StoredJob& stored : *jobs) {
      v1::Model& model = models.emplace_back();
      model.set_job_id(stored.job.id());
      model.set_name(stored.job.name());
      model.set_namespace_(stored.job.namespace_());
      model.set_path(stored.job.model_path());
      model.set_sha256(stored.job.model_sha256());
      *model.mutable_metrics() = stored.job.metrics();
      *model.mutable_created_at() = stored.job.finished_at();
      std::error_code error;
      const auto bytes = std::filesystem::file_size(stored.job.model_path() + "/model.safetensors", error);
      if (!error) model.set_bytes(static_cast<int64_t>(bytes));
    }
    before = jobs->back().job.id();
  }
}

std::unique_ptr<Controller::Subscription> Controller::WatchJob(const std::string& job,
                                                               std::function<void(const v1::Job&)> next,
                                                               EndCallback end) {
  auto watch = std::make_shared<Watch>();
  watch->job = job;
  watch->next_job = std::move(next);
  watch->end = std::move(end);
  return impl_->Subscribe(std::move(watch));
}

std::unique_ptr<Controller::Subscription> Controller::StreamLogs(
    const v1::StreamLogsRequest& request, std::function<void(const v1::StreamLogsResponse&)> next,
    EndCallback end) {
  auto watch = std::make_shared<Watch>();
  watch->job = request.job();
  watch->follow = request.follow();
  watch->tail = request.tail();
  watch->next_logs = std::move(next);
  watch->end = std::move(end);
  return impl_->Subscribe(std::move(watch));
}

std::unique_ptr<Controller::Subscription> Controller::StreamMetrics(
    const v1::StreamMetricsRequest& request, std::function<void(const v1::StreamMetricsResponse&)> next,
    EndCallback end) {
  auto watch = std::make_shared<Watch>();
  watch->job = request.job();
  watch->follow = request.follow();
  watch->next_metrics = std::move(next);
  watch->end = std::move(end);
  return impl_->Subscribe(std::move(watch));
}

int64_t Controller::AgentConnected(std::shared_ptr<AgentSink> sink) {
  const int64_t session = impl_->next_session++;
  ControlEvent event;
  event.apply = [impl = impl_.get(), session, sink = std::move(sink)] {
    impl->sessions.Connected(session, sink);
  };
  impl_->loop.Post(std::move(event));
  return session;
}

void Controller::AgentMessage(int64_t session, v1::ConnectRequest message) {
  ControlEvent event;
  switch (message.message_case()) {
    case v1::ConnectRequest::kHeartbeat:
    case v1::ConnectRequest::kProgress:
    case v1::ConnectRequest::kLogs:
      event.urgent = false;
      event.droppable = true;
      break;
    case v1::ConnectRequest::kCheckpoint:
      event.urgent = false;
      break;
    default:
      break;
  }
  event.apply = [impl = impl_.get(), session, message = std::move(message)] {
    impl->Dispatch(session, message);
  };
  impl_->loop.Post(std::move(event));
}

void Controller::AgentDisconnected(int64_t session) {
  ControlEvent event;
  event.apply = [impl = impl_.get(), session] { impl->sessions.Disconnected(session); };
  impl_->loop.Post(std::move(event));
}

}  // namespace lockstep
