// All state of the control thread, and the round that is being worked on: what it changed (to be stored, and
// to be undone if that fails) and what it will do once it is on disk.
//
//   apply events (Edit..., Move, Send, AfterCommit) -> Commit -> actions run
//                                                         '-> failed: Undo, as if the round had not been
//
// Only the control thread calls this.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/records.h"
#include "coordinator/scheduler/turns.h"
#include "coordinator/store/store.h"

namespace lockstep {

struct Session {
  std::shared_ptr<AgentSink> sink;
  std::string worker;   // empty: not registered yet
  bool closed = false;  // by us; what it still says is ignored
};

class Ledger {
 public:
  Ledger(const Controller::Options& options, Store* store, Clock* clock);

  const Controller::Options& options() const { return options_; }
  Store* store() const { return store_; }
  absl::Time now() const { return clock_->Now(); }

  // Jobs that are not final, and those that became final in this round.
  const std::map<std::string, JobRecord>& jobs() const { return jobs_; }
  const JobRecord* FindJob(const std::string& id) const;
  JobRecord* AddJob(JobRecord job);
  // The job, to be changed; stored with the round. nullptr: not known here.
  JobRecord* EditJob(const std::string& id);
  // The same for what is not stored (members' states, deadlines).
  JobRecord* EditRuntime(const std::string& id);
  // A transition of the state machine, recorded. A forbidden one is a bug: it is logged and not done.
  bool Move(JobRecord* job, v1::JobState to, const std::string& reason);
  // Of jobs(), those that hold devices: starting, running or recovering.
  const std::set<std::string>& holding() const { return holding_; }
  // The queued jobs, to be taken by turn.
  const Turns& queue() const { return queue_; }
  // By id, or the newest of that name, also if it is only in this round; "team-a/NAME" is one of team-a.
  // NOT_FOUND.
  absl::StatusOr<std::string> ResolveJob(const std::string& reference) const;
  // Brings a final job back from the store.
  absl::StatusOr<JobRecord*> LoadJob(const std::string& id);
  // Whether the store has the job (or will have it with this round).
  bool IsKnown(const std::string& id);
  absl::StatusOr<std::shared_ptr<const v1::Dataset>> DatasetOf(const v1::Job& job);
  // The shared copy of a registered version; stored with the round if the store does not have it.
  absl::StatusOr<std::shared_ptr<const v1::Dataset>> ShareDataset(v1::Dataset dataset);

  // Deletion of a job that is final: marked, then its files go, then it. Both are stored with the round.
  // Whether it is marked, for nothing may begin with it any more.
  bool IsDeleted(const std::string& id) const { return deletions_.contains(id); }
  void MarkDeleted(const StoredDeletion& deletion);
  void RemoveJob(const v1::Job& job);

  const std::map<std::string, WorkerRecord>& workers() const { return workers_; }
  const WorkerRecord* FindWorker(const std::string& name) const;
  WorkerRecord* EditWorker(const std::string& name);  // made if it is not there
  void RemoveWorker(const std::string& name);
  // It was heard just now. Stands even if the round is undone, and is no change of the worker otherwise:
  // thousands of heartbeats a second must not copy thousands of records.
  void Heard(const std::string& name);
  // Those heard in this round, some more than once.
  const std::vector<std::string>& heard() const { return heard_; }
  // (worker, device) that have an unended assignment of `job`.
  std::vector<std::pair<std::string, std::string>> HoldsOf(const std::string& job) const;

  // Devices out of service, by slot; an empty device: all of the worker.
  const std::map<Slot, v1::Cordon>& cordons() const { return cordons_; }
  // The one that takes this device out of service; nullptr: none does.
  const v1::Cordon* FindCordon(const std::string& worker, const std::string& device) const;
  void SetCordon(const v1::Cordon& cordon);  // stored with the round
  void RemoveCordon(const Slot& slot);

  const v1::Namespace* FindNamespace(
      const std::string& name) const;  // without its use; nullptr: there is none
  const std::map<std::string, v1::Namespace>& namespaces() const { return namespaces_; }
  void SetNamespace(const v1::Namespace& space);  // stored with the round
  void RemoveNamespace(const std::string& name);
  // Ids of its jobs that are not final: what is in use of a quota is counted from them.
  const std::set<std::string>& UnfinishedOf(const std::string& space) const;

  std::map<int64_t, Session>& sessions() { return sessions_; }

  // The round.
  Batch& batch() { return batch_; }
  // What befell a worker besides what its record shows; published with the round.
  void Note(FleetEvent event) { events_.push_back(std::move(event)); }
  const std::vector<FleetEvent>& events() const { return events_; }
  std::map<std::string, StoredRequest>& requests() { return requests_; }
  void AfterCommit(std::function<void()> action) { actions_.push_back(std::move(action)); }
  // Through the worker's present stream, after the commit; dropped if it has none.
  void Send(const std::string& worker, v1::ConnectResponse message);
  // Whether a marked job's model stays. REQUIRES: IsDeleted.
  bool KeepsModel(const std::string& id) const { return deletions_.at(id); }
  // Devices or jobs changed in a way that may let something start.
  void WantSchedule() { want_schedule_ = true; }
  bool TakeWantSchedule() { return std::exchange(want_schedule_, false); }

  // Jobs that were looked at to be changed in this round.
  std::vector<std::string> EditedJobs() const;
  // Jobs whose stored part changed in this round, with the state that they had (UNSPECIFIED: new).
  std::map<std::string, v1::JobState> ChangedJobs() const;
  // Workers that were looked at to be changed in this round; some may be gone.
  std::vector<std::string> EditedWorkers() const;
  bool cordons_changed() const { return cordons_before_.has_value(); }
  bool namespaces_changed() const { return !namespace_images_.empty(); }

  absl::Status Commit();  // stores the round; its changes then stand
  void Undo();            // takes them back, and forgets the actions
  void RunActions();      // what the committed round has to do, in order
  void EndRound();        // forgets the round, and the jobs that became final in it

 private:
  struct JobImage {
    std::optional<JobRecord> before;  // empty: the job was not here
    v1::JobState was = v1::JOB_STATE_UNSPECIFIED;
    bool stored = false;
  };
  JobRecord* Edit(const std::string& id, bool stored);
  bool IsRemoved(const std::string& id) const;  // by this round
  void Reindex(const std::string& id);
  void ForgetUnfinished(const v1::Job& job);
  void EditCordons();
  void EditNamespace(const std::string& name);

  const Controller::Options options_;
  Store* const store_;
  Clock* const clock_;
  std::map<std::string, JobRecord> jobs_;
  Turns queue_;                                              // queued jobs
  std::set<std::string> holding_;                            // ids of jobs that hold devices
  std::map<std::string, std::set<std::string>> unfinished_;  // ids, by namespace
  std::map<std::string, v1::Namespace> namespaces_;
  std::map<std::string, WorkerRecord> workers_;
  std::vector<std::string> heard_;
  std::map<Slot, v1::Cordon> cordons_;
  std::map<int64_t, Session> sessions_;
  std::map<std::string, std::weak_ptr<const v1::Dataset>> datasets_;  // by "name@version"

  std::map<std::string, bool> deletions_;  // ids of jobs; whether their models stay
  std::vector<std::string> marked_;        // of deletions_, by this round

  std::map<std::string, JobImage> job_images_;
  std::map<std::string, std::optional<WorkerRecord>> worker_images_;
  std::map<std::string, std::optional<v1::Namespace>> namespace_images_;
  std::optional<std::map<Slot, v1::Cordon>> cordons_before_;  // if the round changed them
  Batch batch_;
  std::map<std::string, StoredRequest> requests_;  // of this round, by request id
  std::vector<std::function<void()>> actions_;
  std::vector<FleetEvent> events_;
  bool want_schedule_ = false;
};

}  // namespace lockstep
