// The coordinator's one owner of jobs and workers. Events (calls, agents' messages, ticks) are queued to a
// single control thread, which drains the queue in batches: it applies each event to the state, commits all
// their mutations in one store transaction (fsync), and only then acts: answers callers, sends orders, wakes
// watchers. So a pipelined burst of submits costs one fsync per batch, and nothing is acknowledged or done
// that is not on disk. If the commit fails the batch is undone and its callers get UNAVAILABLE. Decisions are
// pure functions in coordinator/scheduler and coordinator/jobs/state_machine. No gRPC in here.
//
// Thread-safe. Callbacks run on the control thread and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/jobs/queue_waits.h"
#include "coordinator/namespaces/scope.h"
#include "coordinator/store/store.h"
#include "lockstep/v1/chaos.pb.h"
#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/jobs.pb.h"
#include "lockstep/v1/models.pb.h"
#include "lockstep/v1/namespaces.pb.h"
#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// The way back to one agent; made by the server for each Connect stream. Neither call blocks.
class AgentSink {
 public:
  virtual ~AgentSink() = default;
  virtual void Send(v1::ConnectResponse message) = 0;
  virtual void Close(absl::Status status) = 0;  // ends the stream with this status
};

// Numbers for /metrics, a consistent snapshot.
struct ControllerSnapshot {
  int64_t jobs_by_state[16] = {};    // index: v1::JobState
  int64_t workers_by_state[8] = {};  // index: v1::WorkerState
  int64_t devices_total = 0;
  int64_t devices_busy = 0;
  int64_t devices_wanted = 0;  // what the jobs that are not paused would take at most
  int64_t steps_total = 0;     // optimizer steps over all jobs since start
  int64_t checkpoint_failures_total = 0;
  int64_t checkpoints_total = 0;
  int64_t trainer_crashes_total = 0;
  int64_t submits_total = 0;
  double last_schedule_seconds = 0;
  QueueWaits queue_waits;
  struct Rank {
    std::string job;  // id
    v1::JobMember member;
  };
  std::vector<Rank> ranks;  // of running jobs, those whose step times are known
};

// Whose a new job is.
struct JobOwner {
  std::string space = kDefaultNamespace;
  Scope scope;  // of who submits it: what it may start from
};

// Which jobs changed after a revision; those of one round have later revisions than those of the one before.
struct JobChanges {
  int64_t revision = 0;           // of the newest change
  bool complete = false;          // false: too long ago (or never was), read all jobs
  std::vector<std::string> jobs;  // ids, by their last change
};

class Controller {
 public:
  struct Options {
    std::string artifact_root;  // jobs/<id>/checkpoints, jobs/<id>/model
    absl::Duration heartbeat_interval = absl::Milliseconds(200);
    absl::Duration worker_timeout = absl::Seconds(2);  // without a message: lost
    absl::Duration adoption_grace =
        absl::Seconds(10);  // after a restart: time for agents to report running jobs
    absl::Duration start_timeout = absl::Seconds(60);             // assignment to first step
    absl::Duration lost_peer_patience = absl::Milliseconds(500);  // for the cause of a lost connection
    int failures_in_a_row = 5;  // without a new step between them: then the job fails
    bool allow_chaos = false;   // InjectFault
    int node_failures = 3;      // within an hour: then the worker is quarantined; 0: never
  };

  // Loads all state from `store`; jobs that were starting or running become recovering until their agents
  // report. Neither pointer is owned.
  static absl::StatusOr<std::unique_ptr<Controller>> Start(const Options& options, Store* store,
                                                           Clock* clock);
  ~Controller();

  using JobCallback = std::function<void(absl::StatusOr<v1::Job>)>;

  // `spec` is complete (CompleteSpec) and `dataset` its registered version. See SubmitJob in jobs.proto.
  void Submit(v1::JobSpec spec, std::string request_id, v1::Dataset dataset, JobCallback done,
              JobOwner owner = {});
  void Cancel(std::string job, JobCallback done);
  void Pause(std::string job, JobCallback done);
  void Resume(std::string job, JobCallback done);
  void Scale(std::string job, int workers, JobCallback done);

  // See DeleteJob in jobs.proto.
  struct Deleted {
    v1::Job job;  // as it was
    int64_t freed_bytes = 0;
  };
  using DeleteCallback = std::function<void(absl::StatusOr<Deleted>)>;
  void Delete(std::string job, bool keep_model, DeleteCallback done);

  // See CordonWorker and UncordonWorker in workers.proto.
  void Cordon(v1::CordonWorkerRequest request, std::function<void(absl::StatusOr<v1::Cordon>)> done);
  void Uncordon(v1::UncordonWorkerRequest request,
                std::function<void(absl::StatusOr<std::vector<v1::Cordon>>)> done);

  // See namespaces.proto. A deleted one is given as it was.
  using NamespaceCallback = std::function<void(absl::StatusOr<v1::Namespace>)>;
  void CreateNamespace(v1::CreateNamespaceRequest request, NamespaceCallback done);
  void SetNamespace(v1::SetNamespaceRequest request, NamespaceCallback done);
  void DeleteNamespace(std::string name, NamespaceCallback done);
  // As of the last round, with what is in use.
  absl::StatusOr<std::vector<v1::Namespace>> ListNamespaces();
  absl::StatusOr<v1::Namespace> GetNamespace(const std::string& name);
  absl::Status CheckNamespace(const std::string& name);  // NOT_FOUND

  // See InjectFault in chaos.proto.
  void Inject(v1::Fault fault, std::function<void(absl::Status)> done);

  // By id or name, see jobs.proto; everything that `scope` does not see is NOT_FOUND. The other calls take an
  // id of a job that the caller may see.
  absl::StatusOr<v1::Job> GetJob(const std::string& reference, const Scope& scope = {});
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request, const Scope& scope = {});
  std::vector<v1::Worker> ListWorkers();
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(
      const std::string& job);                                         // reads the job's folder
  absl::StatusOr<v1::AuditJobResponse> Audit(const std::string& job);  // reads the job's folder
  std::vector<v1::Model> ListModels(const std::string& space = "");    // empty: of all namespaces
  ControllerSnapshot Snapshot();
  JobChanges ChangedJobs(int64_t after_revision);
  std::vector<FleetEvent>
  FleetEvents();  // the last kMostFleetEvents, oldest first; those before a restart, too

  // Subscriptions. The callback gets what is there already, then what comes; `end` (exactly once) when the
  // job is final or, without follow, when all that is there was given. Drop the handle to unsubscribe: no
  // callback runs after its destructor returns.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  using EndCallback = std::function<void(absl::Status)>;
  std::unique_ptr<Subscription> WatchJob(const std::string& job, std::function<void(const v1::Job&)> next,
                                         EndCallback end);
  std::unique_ptr<Subscription> StreamLogs(const v1::StreamLogsRequest& request,
                                           std::function<void(const v1::StreamLogsResponse&)> next,
                                           EndCallback end);
  std::unique_ptr<Subscription> StreamMetrics(const v1::StreamMetricsRequest& request,
                                              std::function<void(const v1::StreamMetricsResponse&)> next,
                                              EndCallback end);

  // Agents. A session is one Connect stream; its first message must be Register.
  int64_t AgentConnected(std::shared_ptr<AgentSink> sink);
  void AgentMessage(int64_t session, v1::ConnectRequest message);
  void AgentDisconnected(int64_t session);

 private:
  struct Impl;
  explicit Controller(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
