#include "client/testing/fake_coordinator.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "client/render/progress.h"
#include "common/net/grpc_status.h"
#include "lockstep/v1/jobs.grpc.pb.h"
#include "lockstep/v1/models.grpc.pb.h"

namespace lockstep {

v1::Job FakeJob(const std::string& id, v1::JobState state, const std::string& reason) {
  v1::Job job;
  job.set_id(id);
  job.set_name("digits");
  job.set_state(state);
  job.set_reason(reason);
  job.mutable_progress()->set_step(72);
  job.mutable_progress()->set_total_steps(440);
  job.mutable_progress()->set_total_epochs(20);
  job.mutable_progress()->set_epoch(3.2);
  job.mutable_progress()->set_train_loss(0.25);
  if (state == v1::JOB_STATE_SUCCEEDED) (*job.mutable_metrics())["test/accuracy"] = 0.975;
  return job;
}

struct FakeCoordinator::Impl final : v1::Jobs::Service, v1::Models::Service {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, std::vector<v1::Job>> jobs;
  std::vector<v1::LogLine> logs;
  std::vector<v1::MetricPoint> metrics;
  std::vector<v1::DownloadModelResponse> chunks;
  std::string submit_makes;
  int failures = 0;
  absl::Status failure;
  int break_after = -1;
  std::function<void()> on_drained;
  std::vector<v1::SubmitJobRequest> submits;
  int cancels = 0;
  int calls = 0;
  int port = 0;
  std::unique_ptr<grpc::Server> server;

  grpc::Status Enter() {
    const std::lock_guard lock(mutex);
    ++calls;
    if (failures == 0) return grpc::Status::OK;
    --failures;
    return ToGrpc(failure);
  }

  // REQUIRES: mutex held.
  std::vector<v1::Job>* Find(const std::string& job) {
    const auto at = jobs.find(job);
    if (at != jobs.end()) return &at->second;
    for (auto& [id, states] : jobs) {
      if (states.back().name() == job) return &states;
    }
    return nullptr;
  }

  static grpc::Status Missing(const std::string& job) {
    return {grpc::StatusCode::NOT_FOUND, "there is no job '" + job + "'"};
  }

  template <typename Response>
  grpc::Status LastState(const std::string& job, Response* response) {
    if (const auto status = Enter(); !status.ok()) return status;
    const std::lock_guard lock(mutex);
    const auto* states = Find(job);
    if (states == nullptr) return Missing(job);
    *response->mutable_job() = states->back();
    return grpc::Status::OK;
  }

  // Sends `messages`; false if the stream is to break here.
  template <typename Message>
  bool Send(const std::vector<Message>& messages, grpc::ServerWriter<Message>* writer) {
    int left;
    {
      const std::lock_guard lock(mutex);
      left = std::exchange(break_after, -1);
    }
    for (const auto& message : messages) {
      if (left-- == 0) return false;
      writer->Write(message);
    }
    return left != 0;
  }

  grpc::Status SubmitJob(grpc::ServerContext*, const v1::SubmitJobRequest* request,
                         v1::SubmitJobResponse* response) override {
    {
      const std::lock_guard lock(mutex);
      submits.push_back(*request);
    }
    if (const auto status = Enter(); !status.ok()) return status;
    const std::lock_guard lock(mutex);
    *response->mutable_job() = jobs.at(submit_makes).front();
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::GetJobResponse* response) override {
    return LastState(request->job(), response);
  }

  grpc::Status PauseJob(grpc::ServerContext*, const v1::PauseJobRequest* request,
                        v1::PauseJobResponse* response) override {
    return LastState(request->job(), response);
  }

  grpc::Status ScaleJob(grpc::ServerContext*, const v1::ScaleJobRequest* request,
                        v1::ScaleJobResponse* response) override {
    const grpc::Status status = LastState(request->job(), response);
    response->mutable_job()->set_workers_wanted(request->workers());
    return status;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::CancelJobResponse* response) override {
    if (const auto status = LastState(request->job(), response); !status.ok()) return status;
    const std::lock_guard lock(mutex);
    ++cancels;
    Find(request->job())->push_back(FakeJob(response->job().id(), v1::JOB_STATE_CANCELLED));
    changed.notify_all();
    return grpc::Status::OK;
  }

  grpc::Status DeleteJob(grpc::ServerContext*, const v1::DeleteJobRequest* request,
                         v1::DeleteJobResponse* response) override {
    if (const auto status = LastState(request->job(), response); !status.ok()) return status;
    response->set_freed_bytes(request->keep_model() ? 1 << 20 : 3 << 20);
    const std::lock_guard lock(mutex);
    jobs.erase(response->job().id());
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    if (const auto status = Enter(); !status.ok()) return status;
    const std::lock_guard lock(mutex);
    for (const auto& [id, states] : jobs) {  // pages of one, after the token
      if (!request->page_token().empty() && id <= request->page_token()) continue;
      if (response->jobs_size() > 0) {
        response->set_next_page_token(response->jobs(0).id());
        break;
      }
      *response->add_jobs() = states.back();
    }
    return grpc::Status::OK;
  }

  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    if (const auto status = Enter(); !status.ok()) return status;
    size_t sent = 0;
    for (;;) {
      std::vector<v1::WatchJobResponse> news;
      bool ended = false;
      std::function<void()> drained;
      {
        const std::lock_guard lock(mutex);
        const auto* states = Find(request->job());
        if (states == nullptr) return Missing(request->job());
        for (; sent < states->size(); ++sent) *news.emplace_back().mutable_job() = (*states)[sent];
        ended = IsFinal(states->back().state());
        if (!news.empty()) drained = on_drained;
      }
      if (!Send(news, writer)) return {grpc::StatusCode::UNAVAILABLE, "going away"};
      if (ended) return grpc::Status::OK;
      if (drained) drained();
      std::unique_lock lock(mutex);
      changed.wait_for(lock, std::chrono::milliseconds(5));  // a cancelled call wakes nobody
      if (context->IsCancelled()) return grpc::Status::CANCELLED;
    }
  }

  grpc::Status StreamLogs(grpc::ServerContext*, const v1::StreamLogsRequest* request,
                          grpc::ServerWriter<v1::StreamLogsResponse>* writer) override {
    if (const auto status = Enter(); !status.ok()) return status;
    std::vector<v1::StreamLogsResponse> messages;
    {
      const std::lock_guard lock(mutex);
      if (Find(request->job()) == nullptr) return Missing(request->job());
      for (const auto& line : logs) *messages.emplace_back().add_lines() = line;
    }
    return Send(messages, writer) ? grpc::Status::OK
                                  : grpc::Status(grpc::StatusCode::UNAVAILABLE, "going away");
  }

  grpc::Status StreamMetrics(grpc::ServerContext*, const v1::StreamMetricsRequest* request,
                             grpc::ServerWriter<v1::StreamMetricsResponse>* writer) override {
    if (const auto status = Enter(); !status.ok()) return status;
    std::vector<v1::StreamMetricsResponse> messages;
    {
      const std::lock_guard lock(mutex);
      if (Find(request->job()) == nullptr) return Missing(request->job());
      for (const auto& point : metrics) *messages.emplace_back().add_points() = point;
    }
    return Send(messages, writer) ? grpc::Status::OK
                                  : grpc::Status(grpc::StatusCode::UNAVAILABLE, "going away");
  }

  grpc::Status DownloadModel(grpc::ServerContext*, const v1::DownloadModelRequest* request,
                             grpc::ServerWriter<v1::DownloadModelResponse>* writer) override {
    if (const auto status = Enter(); !status.ok()) return status;
    std::vector<v1::DownloadModelResponse> messages;
    {
      const std::lock_guard lock(mutex);
      if (Find(request->job()) == nullptr) return Missing(request->job());
      messages = chunks;
    }
    return Send(messages, writer) ? grpc::Status::OK
                                  : grpc::Status(grpc::StatusCode::UNAVAILABLE, "going away");
  }
};

FakeCoordinator::FakeCoordinator() : impl_(std::make_unique<Impl>()) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &impl_->port);
  builder.RegisterService(static_cast<v1::Jobs::Service*>(impl_.get()));
  builder.RegisterService(static_cast<v1::Models::Service*>(impl_.get()));
  impl_->server = builder.BuildAndStart();
}

FakeCoordinator::~FakeCoordinator() { impl_->server->Shutdown(std::chrono::system_clock::now()); }

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", impl_->port); }

void FakeCoordinator::AddJob(const std::string& id, std::vector<v1::Job> states) {
  const std::lock_guard lock(impl_->mutex);
  impl_->jobs[id] = std::move(states);
}

void FakeCoordinator::AddLogs(std::vector<v1::LogLine> lines) {
  const std::lock_guard lock(impl_->mutex);
  impl_->logs = std::move(lines);
}

void FakeCoordinator::AddMetrics(std::vector<v1::MetricPoint> points) {
  const std::lock_guard lock(impl_->mutex);
  impl_->metrics = std::move(points);
}

void FakeCoordinator::SetDownload(std::vector<v1::DownloadModelResponse> chunks) {
  const std::lock_guard lock(impl_->mutex);
  impl_->chunks = std::move(chunks);
}

void FakeCoordinator::SubmitMakes(const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->submit_makes = id;
}

void FakeCoordinator::FailNext(int count, absl::Status status) {
  const std::lock_guard lock(impl_->mutex);
  impl_->failures = count;
  impl_->failure = std::move(status);
}

void FakeCoordinator::BreakNextStreamAfter(int messages) {
  const std::lock_guard lock(impl_->mutex);
  impl_->break_after = messages;
}

void FakeCoordinator::OnWatchDrained(std::function<void()> callback) {
  const std::lock_guard lock(impl_->mutex);
  impl_->on_drained = std::move(callback);
}

std::vector<v1::SubmitJobRequest> FakeCoordinator::submits() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->submits;
}

int FakeCoordinator::cancels() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->cancels;
}

int FakeCoordinator::calls() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->calls;
}

}  // namespace lockstep
