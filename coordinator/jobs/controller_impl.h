// The controller's parts, put together. The control thread owns all but `published` and the queue of `loop`.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "coordinator/jobs/agent_reports.h"
#include "coordinator/jobs/agent_sessions.h"
#include "coordinator/jobs/background.h"
#include "coordinator/jobs/control_loop.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/cordons.h"
#include "coordinator/jobs/generations.h"
#include "coordinator/jobs/job_commands.h"
#include "coordinator/jobs/job_deletions.h"
#include "coordinator/jobs/ledger.h"
#include "coordinator/jobs/namespace_commands.h"
#include "coordinator/jobs/published.h"
#include "coordinator/jobs/supervisor.h"
#include "coordinator/jobs/watchers.h"

namespace lockstep {

struct Controller::Impl {
  Impl(const Controller::Options& options, Store* store, Clock* clock, const std::string& artifact_root_id,
       const std::string& last_job_id);
  ~Impl();

  // Jobs of the store into the ledger; those with trainers wait for their agents.
  absl::Status Load();

  // A call that answers a JobCallback.
  void PostCall(JobCallback done, std::function<void(const JobCallback&)> apply);
  void PostNamespaceCall(const NamespaceCallback& done, std::function<void()> apply);
  std::unique_ptr<Subscription> Subscribe(std::shared_ptr<Watch> watch);
  // Searches for the job's newest checkpoint in the background.
  void Resolve(const std::string& job);
  // Removes a marked job's files and most of its rows, in the background.
  void RemoveData(const std::string& job, bool keep_model);
  void Heartbeat(const std::string& worker, const v1::Heartbeat& heartbeat);
  void Dispatch(int64_t session, const v1::ConnectRequest& message);
  absl::Status CommitRound();
  void Keep(std::vector<FleetEvent> events);

  const Controller::Options options;
  Store* const store;
  Clock* const clock;
  Ledger ledger;
  Generations generations;
  AgentReports reports;
  AgentSessions sessions;
  Supervisor supervisor;
  Cordons cordons;
  NamespaceCommands namespaces;
  JobCommands commands;
  JobDeletions deletions;
  Watchers watchers;
  Published published;
  Batch unkept;  // events that the store does not have yet
  double schedule_seconds = 0;
  std::atomic<int64_t> next_session{1};
  ControlLoop loop;
  Background background;  // before the loop goes: it posts to it
  Background removals;    // as well; apart, for a large folder must not hold up a search for a checkpoint
};

}  // namespace lockstep
