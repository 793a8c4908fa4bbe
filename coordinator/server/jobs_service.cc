#include <utility>

#include "coordinator/jobs/controller.h"
#include "coordinator/server/log_source.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/security.h"
#include "coordinator/server/services.h"
#include "coordinator/server/submit.h"
#include "coordinator/server/subscribed_stream.h"
#include "coordinator/server/unary.h"
#include "lockstep/v1/jobs.grpc.pb.h"

namespace lockstep {
namespace {

// A job that waits to be sent is outdated by the next one, unless that one tells of a change of state: those
// are all sent.
bool SupersedesJob(const v1::WatchJobResponse& older, const v1::WatchJobResponse& newer) {
  return older.job().state() == newer.job().state() && older.job().generation() == newer.job().generation();
}

class JobsService final : public v1::Jobs::CallbackService {
 public:
  explicit JobsService(const ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* SubmitJob(grpc::CallbackServerContext* call, const v1::SubmitJobRequest* request,
                                      v1::SubmitJobResponse* response) override {
    if (absl::Status status = CheckRequestSize(*request); !status.ok()) return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    Submit(context_, *request, ScopeOf(*call, context_.tokens), AnswerWithJob(reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* call, const v1::GetJobRequest* request,
                                   v1::GetJobResponse* response) override {
    auto job = Find(*call, request->job());
    if (job.ok()) *response->mutable_job() = *std::move(job);
    return Answer(call, job.status());
  }

  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* call, const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override {
    if (absl::Status status = CheckRequestSize(*request); !status.ok()) return Answer(call, status);
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run(
        [this, reactor, request = *request, response, scope = ScopeOf(*call, context_.tokens)] {
          auto jobs = context_.controller->ListJobs(request, scope);
          if (jobs.ok()) *response = *std::move(jobs);
          reactor->Finish(ToGrpc(jobs.status()));
        });
    return reactor;
  }

  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* call, const v1::CancelJobRequest* request,
                                      v1::CancelJobResponse* response) override {
    return Steer(call, &Controller::Cancel, request->job(), response);
  }

  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* call, const v1::PauseJobRequest* request,
                                     v1::PauseJobResponse* response) override {
    return Steer(call, &Controller::Pause, request->job(), response);
  }

  grpc::ServerUnaryReactor* ScaleJob(grpc::CallbackServerContext* call, const v1::ScaleJobRequest* request,
                                     v1::ScaleJobResponse* response) override {
    const auto job = Find(*call, request->job());
    if (!job.ok()) return Answer(call, job.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->Scale(job->id(), request->workers(), AnswerWithJob(reactor, response));
    return reactor;
  }

  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* call, const v1::ResumeJobRequest* request,
                                      v1::ResumeJobResponse* response) override {
    return Steer(call, &Controller::Resume, request->job(), response);
  }

  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* call, const v1::DeleteJobRequest* request,
                                      v1::DeleteJobResponse* response) override {
    const auto job = Find(*call, request->job());
    if (!job.ok()) return Answer(call, job.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.controller->Delete(job->id(), request->keep_model(),
                                [reactor, response](absl::StatusOr<Controller::Deleted> deleted) {
                                  if (deleted.ok()) {
                                    *response->mutable_job() = std::move(deleted->job);
                                    response->set_freed_bytes(deleted->freed_bytes);
                                  }
                                  reactor->Finish(ToGrpc(deleted.status()));
                                });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(grpc::CallbackServerContext* call,
                                                           const v1::WatchJobRequest* request) override {
    using Response = v1::WatchJobResponse;
    const auto found = Find(*call, request->job());
    if (!found.ok()) return FailStream<Response>(context_.live, found.status());
    return StartSubscribedStream<Response>(
        context_.live, {.supersedes = SupersedesJob, .what = "job states"},
        [&](const std::shared_ptr<StreamQueue<Response>>& queue) {
          const auto next = [queue](const v1::Job& job) {
            Response message;
            *message.mutable_job() = job;
            queue->Push(std::move(message));
          };
          return context_.controller->WatchJob(found->id(), next, EndOf(queue));
        },
        StreamOwnerOf(*call));
  }

  grpc::ServerWriteReactor<v1::StreamLogsResponse>* StreamLogs(
      grpc::CallbackServerContext* call, const v1::StreamLogsRequest* request) override {
    using Response = v1::StreamLogsResponse;
    const auto found = Find(*call, request->job());
    if (!found.ok()) return FailStream<Response>(context_.live, found.status());
    v1::StreamLogsRequest by_id = *request;
    by_id.set_job(found->id());
    auto signal = std::make_shared<LogSignal>();
    auto source = std::make_unique<LogSource>(context_.controller, context_.store, by_id, signal);
    const StreamExecutor executor = [pool = context_.pool](std::function<void()> task) {
      pool->Run(std::move(task));
    };
    auto stream =
        ServerStream<Response>::Start(context_.live, executor, std::move(source), StreamOwnerOf(*call));
    signal->OnChange([weak = std::weak_ptr<ServerStream<Response>>(stream)] {
      if (auto alive = weak.lock(); alive != nullptr) alive->Wake();
    });
    stream->Wake();  // for what came before the line above
    return stream.get();
  }

  grpc::ServerWriteReactor<v1::StreamMetricsResponse>* StreamMetrics(
      grpc::CallbackServerContext* call, const v1::StreamMetricsRequest* request) override {
    using Response = v1::StreamMetricsResponse;
    const auto found = Find(*call, request->job());
    if (!found.ok()) return FailStream<Response>(context_.live, found.status());
    v1::StreamMetricsRequest by_id = *request;
    by_id.set_job(found->id());
    return StartSubscribedStream<Response>(
        context_.live, {.what = "metric points"},
        [&](const std::shared_ptr<StreamQueue<Response>>& queue) {
          const auto next = [queue](const Response& message) { queue->Push(message); };
          return context_.controller->StreamMetrics(by_id, next, EndOf(queue));
        },
        StreamOwnerOf(*call));
  }

  grpc::ServerUnaryReactor* ListCheckpoints(grpc::CallbackServerContext* call,
                                            const v1::ListCheckpointsRequest* request,
                                            v1::ListCheckpointsResponse* response) override {
    const auto found = Find(*call, request->job());
    if (!found.ok()) return Answer(call, found.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([this, reactor, job = found->id(), response] {
      auto checkpoints = context_.controller->ListCheckpoints(job);
      if (checkpoints.ok()) {
        for (v1::Checkpoint& checkpoint : *checkpoints) *response->add_checkpoints() = std::move(checkpoint);
      }
      reactor->Finish(ToGrpc(checkpoints.status()));
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* AuditJob(grpc::CallbackServerContext* call, const v1::AuditJobRequest* request,
                                     v1::AuditJobResponse* response) override {
    const auto found = Find(*call, request->job());
    if (!found.ok()) return Answer(call, found.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    context_.pool->Run([this, reactor, job = found->id(), response] {
      auto audit = context_.controller->Audit(job);
      if (audit.ok()) *response = *std::move(audit);
      reactor->Finish(ToGrpc(audit.status()));
    });
    return reactor;
  }

 private:
  using Verb = void (Controller::*)(std::string job, Controller::JobCallback done);

  // The job that the caller means, of those that it may see: every method asks here first.
  absl::StatusOr<v1::Job> Find(const grpc::ServerContextBase& call, const std::string& reference) {
    RETURN_IF_ERROR(CheckReference("job", reference));
    return context_.controller->GetJob(reference, ScopeOf(call, context_.tokens));
  }

  template <typename Response>
  grpc::ServerUnaryReactor* Steer(grpc::CallbackServerContext* call, Verb verb, const std::string& reference,
                                  Response* response) {
    const auto job = Find(*call, reference);
    if (!job.ok()) return Answer(call, job.status());
    grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
    (context_.controller->*verb)(job->id(), AnswerWithJob(reactor, response));
    return reactor;
  }

  template <typename Response>
  static Controller::EndCallback EndOf(const std::shared_ptr<StreamQueue<Response>>& queue) {
    return [queue](absl::Status status) { queue->End(std::move(status)); };
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobsService(const ServiceContext& context) {
  return std::make_unique<JobsService>(context);
}

}  // namespace lockstep
