// The C++ client of a Lockstep coordinator. Calls block. A coordinator that is not there, or goes away, is
// tried again with exponential backoff for connect_timeout; streams resume where they stopped, without
// repeating anything. Errors carry the code and message of the API (proto/lockstep/v1); UNAVAILABLE says
// which address was tried for how long, CANCELLED that the Cancellation ended the call.
//
// Thread-safe. No gRPC in this header.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/library/cancellation.h"
#include "common/base/status.h"
#include "common/net/tls_files.h"
#include "lockstep/v1/chaos.pb.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/models.pb.h"
#include "lockstep/v1/namespaces.pb.h"
#include "lockstep/v1/tokens.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

class Connection;

class Client {
 public:
  struct Options {
    std::string address = "127.0.0.1:7070";
    TlsFiles tls;            // empty: no TLS
    std::string space = "";  // the namespace that is meant; empty: the server's choice
    std::string token;       // empty: none; never sent off loopback without TLS
    absl::Duration connect_timeout = absl::Seconds(5);  // how long to try before UNAVAILABLE
    std::function<void()> on_waiting;                   // called once, when the first attempt has failed
    Cancellation* cancellation = nullptr;               // not owned; outlives the client
  };

  // Does not connect yet.
  explicit Client(Options options);
  ~Client();

  // `request_id` makes repetitions harmless; see NewRequestId.
  absl::StatusOr<v1::Job> SubmitJob(const v1::JobSpec& spec, const std::string& request_id);
  absl::StatusOr<v1::Job> GetJob(const std::string& job);
  // All pages. `states` empty: every job. `limit` 0: no limit.
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const std::vector<v1::JobState>& states, int limit);
  absl::StatusOr<v1::Job> CancelJob(const std::string& job);
  absl::StatusOr<v1::DeleteJobResponse> DeleteJob(const std::string& job, bool keep_model);
  absl::StatusOr<v1::Job> PauseJob(const std::string& job);
  absl::StatusOr<v1::Job> ScaleJob(const std::string& job, int workers);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& job);
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(const std::string& job);
  absl::StatusOr<v1::AuditJobResponse> AuditJob(const std::string& job);
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers();
  // An empty device: all of the worker.
  absl::StatusOr<v1::Cordon> CordonWorker(const std::string& worker, const std::string& device,
                                          const std::string& reason);
  absl::StatusOr<v1::UncordonWorkerResponse> UncordonWorker(const std::string& worker,
                                                            const std::string& device);
  // Not tried again: a fault that was ordered twice is two faults.
  absl::Status InjectFault(const v1::Fault& fault);
  absl::StatusOr<v1::RegisterDatasetResponse> RegisterDataset(const v1::RegisterDatasetRequest& request);
  absl::StatusOr<v1::Dataset> GetDataset(const std::string& dataset);
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets();
  absl::StatusOr<v1::ListModelsResponse> ListModels();
  // Not tried again once it was sent: the token of an answer that got lost is lost.
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::ListTokensResponse> ListTokens();
  absl::StatusOr<v1::Token> RevokeToken(const std::string& name);
  absl::StatusOr<v1::Namespace> CreateNamespace(const v1::CreateNamespaceRequest& request);
  absl::StatusOr<v1::Namespace> GetNamespace(const std::string& name);
  absl::StatusOr<v1::ListNamespacesResponse> ListNamespaces();
  absl::StatusOr<v1::Namespace> SetNamespace(const v1::SetNamespaceRequest& request);
  absl::Status DeleteNamespace(const std::string& name);

  // `next` gets the job now and after each change; the stream ends after a final state or when it returns
  // false.
  absl::Status WatchJob(const std::string& job, const std::function<bool(const v1::Job&)>& next);
  absl::Status StreamLogs(const v1::StreamLogsRequest& request,
                          const std::function<bool(const v1::LogLine&)>& next);
  absl::Status StreamMetrics(const v1::StreamMetricsRequest& request,
                             const std::function<bool(const v1::MetricPoint&)>& next);

  // Writes the model's files into `folder` (made if absent; files of the same names are replaced, all at the
  // end). Returns their names.
  absl::StatusOr<std::vector<std::string>> DownloadModel(const std::string& job, const std::string& folder);

 private:
  // A job's or dataset's name in the namespace that is meant.
  std::string In(const std::string& reference) const;

  const std::string space_;
  std::unique_ptr<Connection> connection_;
};

// 128 random bits in hex.
std::string NewRequestId();

}  // namespace lockstep
