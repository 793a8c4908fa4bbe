#include "coordinator/jobs/agent_sessions.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/base/proto_time.h"

namespace lockstep {
namespace {

// Lost workers are listed for this long, so that people see what is missing.
constexpr absl::Duration kLostWorkerShown = absl::Hours(1);

std::string Who(const WorkerRecord& worker) {
  return absl::StrCat("worker ", worker.name, " (host ", worker.host, ")");
}

bool IsLive(const WorkerRecord& worker) {
  return worker.session != 0 && worker.state != v1::WORKER_STATE_LOST;
}

// Device ids are keys and appear in reasons; a worker that repeats one cannot be scheduled soundly.
absl::Status CheckDevices(const v1::Register& message) {
  std::set<std::string> seen;
  for (const v1::Device& device : message.devices()) {
    if (device.id().empty() || !seen.insert(device.id()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("worker ", message.name(), ": device id '", device.id(),
                       "' is empty or given twice; ids must be unique on a node"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

AgentSessions::AgentSessions(Ledger* ledger, Generations* generations, Identity identity,
                             std::function<void(const std::string&, const v1::AssignmentStatus&)> report)
    : ledger_(ledger),
      generations_(generations),
      identity_(std::move(identity)),
      report_(std::move(report)) {}

void AgentSessions::Connected(int64_t session, std::shared_ptr<AgentSink> sink) {
  ledger_->sessions().try_emplace(session, Session{std::move(sink)});
}

void AgentSessions::Disconnected(int64_t session) {
  const auto found = ledger_->sessions().find(session);
  if (found == ledger_->sessions().end()) return;
  const WorkerRecord* worker = ledger_->FindWorker(found->second.worker);
  if (worker != nullptr && worker->session == session) {
    ledger_->EditWorker(worker->name)->session = 0;
    for (const auto& [device, hold] : worker->holds) ledger_->EditRuntime(hold.job);  // to be reviewed
    ledger_->WantSchedule();
  }
  // The entry itself must outlive a failed commit: this event would then come again.
  ledger_->AfterCommit([this, session] { ledger_->sessions().erase(session); });
}

void AgentSessions::Close(int64_t session, absl::Status status) {
  const auto found = ledger_->sessions().find(session);
  if (found == ledger_->sessions().end()) return;
  ledger_->AfterCommit([this, session, status] {
    const auto open = ledger_->sessions().find(session);
    if (open == ledger_->sessions().end() || std::exchange(open->second.closed, true)) return;
    open->second.sink->Close(status);
  });
}

std::string AgentSessions::Hear(int64_t session) {
  const auto found = ledger_->sessions().find(session);
  if (found == ledger_->sessions().end() || found->second.closed) return "";
  if (found->second.worker.empty()) {
    Close(session, absl::FailedPreconditionError("the first message of a worker's stream must be Register"));
    return "";
  }
  const WorkerRecord* worker = ledger_->FindWorker(found->second.worker);
  if (worker == nullptr || worker->session != session) return "";
  ledger_->Heard(worker->name);
  return worker->name;
}

void AgentSessions::Register(int64_t session, const v1::Register& message) {
  const auto found = ledger_->sessions().find(session);
  if (found == ledger_->sessions().end() || found->second.closed) return;
  if (message.name().empty() || message.incarnation().empty()) {
    return Close(session, absl::InvalidArgumentError("Register needs a worker's name and incarnation"));
  }
  if (absl::Status status = CheckDevices(message); !status.ok()) return Close(session, status);
  const std::string& root_id = message.artifact_root_id();
  if (!root_id.empty() && root_id != identity_.artifact_root_id) {
    return Close(session,
                 absl::FailedPreconditionError(absl::StrCat(
                     "worker ", message.name(), " (host ", message.host(), ") sees another storage under ",
                     ledger_->options().artifact_root, " than the coordinator: its .lockstep-root says '",
                     root_id, "', ours '", identity_.artifact_root_id,
                     "'; job folders must be on storage that all nodes share: mount it at the same path "
                     "there, or run ",
                     "the worker on the coordinator's host")));
  }
  if (const WorkerRecord* old = ledger_->FindWorker(message.name())) {
    if (old->incarnation != message.incarnation()) {
      if (IsLive(*old)) {
        return Close(session, absl::AlreadyExistsError(absl::StrCat(
                                  "a live worker is already named '", message.name(), "': incarnation ",
                                  old->incarnation, " on host ", old->host, "; this one is incarnation ",
                                  message.incarnation(), " on host ", message.host(),
                                  "; give it another --name, or stop the other one first")));
      }
      if (old->state != v1::WORKER_STATE_LOST) Lose(old->name, "its agent was started anew");
    } else if (old->session != 0 && old->session != session) {
      Close(old->session, absl::AbortedError("this worker has connected again on a newer stream"));
    }
  }
  found->second.worker = message.name();
  WorkerRecord* worker = ledger_->EditWorker(message.name());
  if (worker->session != session) worker->connected_at = ledger_->now();
  const bool draining =
      worker->incarnation == message.incarnation() && worker->state == v1::WORKER_STATE_DRAINING;
  if (worker->incarnation != message.incarnation()) worker->holds.clear();
  worker->incarnation = message.incarnation();
  worker->host = message.host();
  worker->version = message.version();
  worker->session = session;
  worker->state = draining ? v1::WORKER_STATE_DRAINING : v1::WORKER_STATE_READY;
  worker->storage_known = !root_id.empty();
  worker->allows_chaos = message.allows_chaos();
  worker->last_heard = ledger_->now();
  worker->devices.assign(message.devices().begin(), message.devices().end());
  ledger_->WantSchedule();
  spdlog::info("worker {} registered from {} with {} devices{}", message.name(), message.host(),
               message.devices_size(), root_id.empty() ? ", its storage not yet checked" : "");

  v1::ConnectResponse answer;
  v1::Registered* registered = answer.mutable_registered();
  registered->set_coordinator_incarnation(identity_.incarnation);
  *registered->mutable_heartbeat_interval() = ToProto(ledger_->options().heartbeat_interval);
  registered->set_artifact_root(ledger_->options().artifact_root);
  registered->set_artifact_root_id(identity_.artifact_root_id);
  ledger_->Send(message.name(), std::move(answer));
  Reconcile(message.name(), message);
}

// Levels, not edges: what the agent has and we do not know, what we gave and it does not have.
void AgentSessions::Reconcile(const std::string& name, const v1::Register& message) {
  std::set<std::pair<std::string, std::string>> reported;  // (device, job)
  for (const v1::AssignmentStatus& status : message.assignments()) {
    reported.emplace(status.device(), status.job_id());
    report_(name, status);
  }
  const auto holds = ledger_->FindWorker(name)->holds;  // a copy: repeating and aborting change them
  for (const auto& [device, hold] : holds) {
    const bool has = reported.count({device, hold.job}) > 0;
    JobRecord* job = ledger_->EditRuntime(hold.job);
    const bool works =
        job != nullptr && (job->state() == v1::JOB_STATE_STARTING || job->state() == v1::JOB_STATE_RUNNING ||
                           job->state() == v1::JOB_STATE_RECOVERING);
    Member* member = works ? job->FindMember(name, device) : nullptr;
    const bool leaves = works && std::any_of(job->leaving.begin(), job->leaving.end(),
                                             [&name, &device = device](const Member& leaver) {
                                               return leaver.worker == name && leaver.device == device;
                                             });
    if (has && (member != nullptr || leaves)) {
      generations_->Repeat(hold.job, {name, device});
    } else if (has) {
      generations_->AbortOne(name, hold.job, hold.generation, device);
    } else if (member != nullptr && member->since == job->stored.job.generation() && !member->holds_state &&
               member->state != v1::ASSIGNMENT_STATE_RUNNING) {
      generations_->Repeat(hold.job, {name, device});  // the order was lost with the stream
    } else {
      if (member != nullptr) {
        member->gone = absl::StrCat("worker ", name, " no longer has its trainer");
        member->cause = "trainer_missing";
      }
      ledger_->EditWorker(name)->holds.erase(device);
    }
  }
  // Members that wait to be adopted, but whose trainers are not there.
  std::vector<std::string> waiting;
  for (const std::string& id : ledger_->holding()) {
    if (ledger_->FindJob(id)->adopting) waiting.push_back(id);
  }
  for (const std::string& id : waiting) {
    for (Member& member : ledger_->EditRuntime(id)->members) {
      if (member.worker == name && member.heard == 0 && !HasEnded(member.state) && member.gone.empty()) {
        member.gone = absl::StrCat("worker ", name, " no longer has its trainer after a coordinator restart");
        member.cause = "trainer_missing";
      }
    }
  }
}

void AgentSessions::Drain(const std::string& name) {
  WorkerRecord* worker = ledger_->EditWorker(name);
  if (worker->state != v1::WORKER_STATE_READY) return;
  worker->state = v1::WORKER_STATE_DRAINING;
  ledger_->WantSchedule();
  spdlog::info("worker {} drains", name);
  Vacate(name, "", "is going away");
}

void AgentSessions::Vacate(const std::string& name, const std::string& device, const std::string& why) {
  const auto meant = [&](const std::string& other) { return device.empty() || other == device; };
  const std::string reason = absl::StrCat("worker ", name, " ", why);
  std::set<std::string> jobs;
  for (const auto& [held, hold] : ledger_->FindWorker(name)->holds) {
    if (meant(held)) jobs.insert(hold.job);
  }
  for (const std::string& id : jobs) {
    JobRecord* job = ledger_->EditJob(id);
    if (job == nullptr) continue;
    std::vector<Slot> leaving;
    for (const Member& member : job->members) {
      if (member.worker == name && meant(member.device)) leaving.push_back({name, member.device});
    }
    const int left = static_cast<int>(job->members.size() - leaving.size());
    const bool steady = job->state() == v1::JOB_STATE_RUNNING && !job->growing() && !job->broken;
    if (steady && job->stop == v1::Stop::MODE_UNSPECIFIED && left >= LeastWorkers(job->stored.job)) {
      generations_->Reshape(id, leaving, {});
    } else if (steady) {
      job->requeue_when_stopped = true;
      if (job->stop == v1::Stop::MODE_UNSPECIFIED) generations_->Stop(job, v1::Stop::MODE_PAUSE);
    } else if (job->state() == v1::JOB_STATE_STARTING) {
      generations_->Requeue(job, absl::StrCat("queued again: ", reason));
    } else {
      for (Member& member : job->members) {
        if (member.worker != name || !meant(member.device)) continue;
        member.gone = reason;
        member.cause = "vacated";
      }
    }
  }
}

void AgentSessions::Lose(const std::string& name, const std::string& why) {
  WorkerRecord* worker = ledger_->EditWorker(name);
  worker->state = v1::WORKER_STATE_LOST;
  const auto holds = std::exchange(worker->holds, {});
  const std::string reason = absl::StrCat(Who(*worker), " was lost: ", why);
  spdlog::warn("{}", reason);
  ledger_->WantSchedule();
  if (worker->session != 0) Close(worker->session, absl::DeadlineExceededError(reason));
  worker->session = 0;
  for (const auto& [device, hold] : holds) {
    JobRecord* job = ledger_->EditRuntime(hold.job);
    if (job == nullptr) continue;
    Member* member = job->FindMember(name, device);
    if (member != nullptr) {
      member->gone = absl::StrCat(reason, "; it ran rank ", hold.rank, " on ", device);
      member->cause = "worker_lost";
    }
    std::erase_if(job->leaving, [&](const Member& leaver) { return leaver.worker == name; });
  }
}

void AgentSessions::Tick() {
  const absl::Time now = ledger_->now();
  std::vector<std::string> silent, old;
  for (const auto& [name, worker] : ledger_->workers()) {
    const absl::Duration age = now - worker.last_heard;
    if (worker.state != v1::WORKER_STATE_LOST && age >= ledger_->options().worker_timeout) {
      silent.push_back(name);
    } else if (worker.state == v1::WORKER_STATE_LOST && age >= kLostWorkerShown) {
      old.push_back(name);
    } else {
      for (const auto& [device, hold] : worker.holds) {
        if (now < hold.drop_at) continue;
        // Twice told, never answered: the agent has forgotten it.
        generations_->AbortOne(name, hold.job, hold.generation, device);
        ledger_->EditWorker(name)->holds.erase(device);
        ledger_->WantSchedule();
        break;  // the next tick takes the next one
      }
    }
  }
  for (const std::string& name : silent) {
    const WorkerRecord* worker = ledger_->FindWorker(name);
    Lose(name, absl::StrCat("no message for ", absl::FormatDuration(now - worker->last_heard)));
  }
  for (const std::string& name : old) ledger_->RemoveWorker(name);
}

}  // namespace lockstep
