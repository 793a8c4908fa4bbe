#include <algorithm>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/library/unary_call.h"
#include "common/net/grpc_status.h"
#include "lockstep/v1/chaos.grpc.pb.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/jobs.grpc.pb.h"
#include "lockstep/v1/models.grpc.pb.h"
#include "lockstep/v1/tokens.grpc.pb.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

// Calls that read a whole dataset; a coordinator that died meanwhile is noticed by keepalive.
constexpr absl::Duration kNoLimit = absl::InfiniteDuration();

template <typename Request, typename Response>
absl::StatusOr<v1::Job> JobCall(Connection* connection,
                                grpc::Status (v1::Jobs::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                       Response*),
                                const std::string& job) {
  Request request;
  request.set_job(job);
  ASSIGN_OR_RETURN(Response response, Unary<v1::Jobs>(connection, method, request));
  return std::move(*response.mutable_job());
}

}  // namespace

Client::Client(Options options)
    : space_(options.space), connection_(std::make_unique<Connection>(std::move(options))) {}
Client::~Client() = default;

std::string Client::In(const std::string& reference) const {
  if (space_.empty() || reference.empty() || absl::StrContains(reference, "/")) return reference;
  return absl::StrCat(space_, "/", reference);
}

absl::StatusOr<v1::Job> Client::SubmitJob(const v1::JobSpec& spec, const std::string& request_id) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  request.set_namespace_(space_);
  ASSIGN_OR_RETURN(v1::SubmitJobResponse response,
                   Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::SubmitJob, request, kNoLimit));
  return std::move(*response.mutable_job());
}

absl::StatusOr<v1::Job> Client::GetJob(const std::string& job) {
  return JobCall(connection_.get(), &v1::Jobs::Stub::GetJob, In(job));
}

absl::StatusOr<v1::Job> Client::CancelJob(const std::string& job) {
  return JobCall(connection_.get(), &v1::Jobs::Stub::CancelJob, In(job));
}

absl::StatusOr<v1::DeleteJobResponse> Client::DeleteJob(const std::string& job, bool keep_model) {
  v1::DeleteJobRequest request;
  request.set_job(In(job));
  request.set_keep_model(keep_model);
  return Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::DeleteJob, request, kNoLimit);
}

absl::StatusOr<v1::Job> Client::PauseJob(const std::string& job) {
  return JobCall(connection_.get(), &v1::Jobs::Stub::PauseJob, In(job));
}

absl::StatusOr<v1::Job> Client::ScaleJob(const std::string& job, int workers) {
  v1::ScaleJobRequest request;
  request.set_job(In(job));
  request.set_workers(workers);
  ASSIGN_OR_RETURN(v1::ScaleJobResponse response,
                   Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::ScaleJob, request));
  return std::move(*response.mutable_job());
}

absl::StatusOr<v1::Job> Client::ResumeJob(const std::string& job) {
  return JobCall(connection_.get(), &v1::Jobs::Stub::ResumeJob, In(job));
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(const std::vector<v1::JobState>& states, int limit) {
  constexpr int kLargestPage = 100;
  v1::ListJobsRequest request;
  request.set_namespace_(space_);
  for (const v1::JobState state : states) request.add_states(state);
  v1::ListJobsResponse all;
  do {
    request.set_page_size(limit > 0 ? std::min(kLargestPage, limit - all.jobs_size()) : kLargestPage);
    ASSIGN_OR_RETURN(v1::ListJobsResponse page,
                     Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::ListJobs, request));
    for (auto& job : *page.mutable_jobs()) *all.add_jobs() = std::move(job);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (limit <= 0 || all.jobs_size() < limit));
  return all;
}

absl::StatusOr<v1::ListCheckpointsResponse> Client::ListCheckpoints(const std::string& job) {
  v1::ListCheckpointsRequest request;
  request.set_job(In(job));
  // Reads every file of every checkpoint to verify its checksum.
  return Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::ListCheckpoints, request, kNoLimit);
}

absl::StatusOr<v1::AuditJobResponse> Client::AuditJob(const std::string& job) {
  v1::AuditJobRequest request;
  request.set_job(In(job));
  return Unary<v1::Jobs>(connection_.get(), &v1::Jobs::Stub::AuditJob, request, kNoLimit);
}

absl::StatusOr<v1::ListWorkersResponse> Client::ListWorkers() {
  return Unary<v1::Workers>(connection_.get(), &v1::Workers::Stub::ListWorkers, v1::ListWorkersRequest());
}

absl::StatusOr<v1::Cordon> Client::CordonWorker(const std::string& worker, const std::string& device,
                                                const std::string& reason) {
  v1::CordonWorkerRequest request;
  request.set_worker(worker);
  request.set_device(device);
  request.set_reason(reason);
  ASSIGN_OR_RETURN(v1::CordonWorkerResponse response,
                   Unary<v1::Workers>(connection_.get(), &v1::Workers::Stub::CordonWorker, request));
  return std::move(*response.mutable_cordon());
}

absl::StatusOr<v1::UncordonWorkerResponse> Client::UncordonWorker(const std::string& worker,
                                                                  const std::string& device) {
  v1::UncordonWorkerRequest request;
  request.set_worker(worker);
  request.set_device(device);
  return Unary<v1::Workers>(connection_.get(), &v1::Workers::Stub::UncordonWorker, request);
}

absl::Status Client::InjectFault(const v1::Fault& fault) {
  v1::InjectFaultRequest request;
  *request.mutable_fault() = fault;
  const auto stub = v1::Chaos::NewStub(connection_->channel());
  grpc::Status answer;
  RETURN_IF_ERROR(connection_->Call(
      [&](grpc::ClientContext* context, bool*) {
        v1::InjectFaultResponse response;
        answer = stub->InjectFault(context, request, &response);
        return grpc::Status::OK;  // whatever it was: no repetition
      },
      kQuickCall));
  const bool died = answer.error_code() == grpc::StatusCode::UNAVAILABLE;
  if (fault.kind() == v1::FAULT_KIND_KILL_COORDINATOR && died) return absl::OkStatus();
  return FromGrpc(answer);
}

absl::StatusOr<v1::CreateTokenResponse> Client::CreateToken(const v1::CreateTokenRequest& request) {
  const auto stub = v1::Tokens::NewStub(connection_->channel());
  v1::CreateTokenResponse response;
  grpc::Status answer;
  RETURN_IF_ERROR(connection_->Call(
      [&](grpc::ClientContext* context, bool*) {
        answer = stub->CreateToken(context, request, &response);
        return grpc::Status::OK;
      },
      kQuickCall));
  RETURN_IF_ERROR(FromGrpc(answer));
  return response;
}

absl::StatusOr<v1::ListTokensResponse> Client::ListTokens() {
  return Unary<v1::Tokens>(connection_.get(), &v1::Tokens::Stub::ListTokens, v1::ListTokensRequest());
}

absl::StatusOr<v1::Token> Client::RevokeToken(const std::string& name) {
  v1::RevokeTokenRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(v1::RevokeTokenResponse response,
                   Unary<v1::Tokens>(connection_.get(), &v1::Tokens::Stub::RevokeToken, request));
  return std::move(*response.mutable_token());
}

absl::StatusOr<v1::RegisterDatasetResponse> Client::RegisterDataset(
    const v1::RegisterDatasetRequest& request) {
  v1::RegisterDatasetRequest in_namespace = request;
  if (request.namespace_().empty()) in_namespace.set_namespace_(space_);
  return Unary<v1::Datasets>(connection_.get(), &v1::Datasets::Stub::RegisterDataset, in_namespace, kNoLimit);
}

absl::StatusOr<v1::Dataset> Client::GetDataset(const std::string& dataset) {
  v1::GetDatasetRequest request;
  request.set_dataset(In(dataset));
  ASSIGN_OR_RETURN(v1::GetDatasetResponse response,
                   Unary<v1::Datasets>(connection_.get(), &v1::Datasets::Stub::GetDataset, request));
  return std::move(*response.mutable_dataset());
}

absl::StatusOr<v1::ListDatasetsResponse> Client::ListDatasets() {
  v1::ListDatasetsRequest request;
  request.set_namespace_(space_);
  return Unary<v1::Datasets>(connection_.get(), &v1::Datasets::Stub::ListDatasets, request);
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels() {
  v1::ListModelsRequest request;
  request.set_namespace_(space_);
  return Unary<v1::Models>(connection_.get(), &v1::Models::Stub::ListModels, request);
}

std::string NewRequestId() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) id += absl::StrFormat("%08x", device());
  return id;
}

}  // namespace lockstep
