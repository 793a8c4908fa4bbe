#include "coordinator/jobs/ledger.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "coordinator/jobs/job_reference.h"
#include "coordinator/jobs/state_machine.h"

namespace lockstep {

Ledger::Ledger(const Controller::Options& options, Store* store, Clock* clock)
    : options_(options), store_(store), clock_(clock) {}

const JobRecord* Ledger::FindJob(const std::string& id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

JobRecord* Ledger::AddJob(JobRecord job) {
  const std::string id = job.id();
  job_images_.try_emplace(id).first->second.stored = true;
  JobRecord* added = &jobs_.insert_or_assign(id, std::move(job)).first->second;
  Reindex(id);
  return added;
}

JobRecord* Ledger::EditJob(const std::string& id) { return Edit(id, true); }
JobRecord* Ledger::EditRuntime(const std::string& id) { return Edit(id, false); }

JobRecord* Ledger::Edit(const std::string& id, bool stored) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return nullptr;
  auto [image, first] = job_images_.try_emplace(id);
  if (first) {
    image->second.before = found->second;
    image->second.was = found->second.state();
  }
  image->second.stored |= stored;
  return &found->second;
}

bool Ledger::Move(JobRecord* job, v1::JobState to, const std::string& reason) {
  EditJob(job->id());
  auto transition = Transition(&job->stored.job, to, reason, now());
  if (!transition.ok()) {
    spdlog::error("{}", std::string(transition.status().message()));
    return false;
  }
  spdlog::info("job {} ({}): {} -> {}: {}", job->id(), job->stored.job.name(), JobStateName(transition->from),
               JobStateName(to), reason);
  batch_.transitions.push_back(*std::move(transition));
  if (to == v1::JOB_STATE_QUEUED) job->queued_at = now();
  Reindex(job->id());
  WantSchedule();
  return true;
}

void Ledger::Reindex(const std::string& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const v1::Job& job = found->second.stored.job;
  const v1::JobState state = job.state();
  if (state == v1::JOB_STATE_QUEUED) {
    queue_.Add(job.namespace_(), job.spec().priority(), id);
  } else {
    queue_.Remove(job.namespace_(), job.spec().priority(), id);
  }
  if (IsFinal(state)) {
    ForgetUnfinished(job);
  } else {
    unfinished_[job.namespace_()].insert(id);
  }
  if (state == v1::JOB_STATE_STARTING || state == v1::JOB_STATE_RUNNING ||
      state == v1::JOB_STATE_RECOVERING) {
    holding_.insert(id);
  } else {
    holding_.erase(id);
  }
}

void Ledger::ForgetUnfinished(const v1::Job& job) {
  const auto space = unfinished_.find(job.namespace_());
  if (space == unfinished_.end()) return;
  space->second.erase(job.id());
  if (space->second.empty()) unfinished_.erase(space);
}

const std::set<std::string>& Ledger::UnfinishedOf(const std::string& space) const {
  static const std::set<std::string> kNone;
  const auto found = unfinished_.find(space);
  return found == unfinished_.end() ? kNone : found->second;
}

absl::StatusOr<std::string> Ledger::ResolveJob(const std::string& reference) const {
  if (jobs_.count(reference) > 0) return reference;
  const QualifiedName wanted = SplitName(reference, kDefaultNamespace);
  for (auto image = job_images_.rbegin(); image != job_images_.rend(); ++image) {
    const auto job = jobs_.find(image->first);
    if (!image->second.before.has_value() && job != jobs_.end() &&
        job->second.stored.job.name() == wanted.name && job->second.stored.job.namespace_() == wanted.space) {
      return image->first;
    }
  }
  ASSIGN_OR_RETURN(const StoredJob job, FindStoredJob(store_, reference));
  return job.job.id();
}

absl::StatusOr<JobRecord*> Ledger::LoadJob(const std::string& id) {
  if (JobRecord* here = EditJob(id)) return here;
  if (IsRemoved(id)) return absl::NotFoundError(absl::StrCat("no job '", id, "': it was deleted just now"));
  JobRecord job;
  ASSIGN_OR_RETURN(job.stored, store_->GetJob(id));
  ASSIGN_OR_RETURN(job.dataset, DatasetOf(job.stored.job));
  job.accepted_from = job.stored.job.generation();
  job_images_[id] = {std::nullopt, job.state(), true};
  return &jobs_.insert_or_assign(id, std::move(job)).first->second;
}

void Ledger::MarkDeleted(const StoredDeletion& deletion) {
  if (!deletions_.emplace(deletion.job_id, deletion.keep_model).second) return;
  marked_.push_back(deletion.job_id);
  batch_.deletions.push_back(deletion);
}

bool Ledger::IsRemoved(const std::string& id) const {
  return std::find(batch_.removed_jobs.begin(), batch_.removed_jobs.end(), id) != batch_.removed_jobs.end();
}

void Ledger::RemoveJob(const v1::Job& job) {
  jobs_.erase(job.id());  // this round may have looked at it
  job_images_[job.id()] = {std::nullopt, job.state(), true};
  batch_.removed_jobs.push_back(job.id());
  AfterCommit([this, id = job.id()] { deletions_.erase(id); });
}

bool Ledger::IsKnown(const std::string& id) { return jobs_.count(id) > 0 || store_->GetJob(id).ok(); }

absl::StatusOr<std::shared_ptr<const v1::Dataset>> Ledger::DatasetOf(const v1::Job& job) {
  const std::string& version = job.dataset_version();
  std::weak_ptr<const v1::Dataset>& cached = datasets_[version];
  if (auto dataset = cached.lock()) return dataset;
  const size_t at = version.rfind('@');
  int number = 0;
  if (at == std::string::npos || !absl::SimpleAtoi(version.substr(at + 1), &number)) {
    return absl::DataLossError(absl::StrCat("job ", job.id(), " pins the dataset '", version,
                                            "', which is not of the form name@version"));
  }
  ASSIGN_OR_RETURN(auto found, store_->FindDataset(version.substr(0, at), number));
  if (!found.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("job ", job.id(), " pins dataset ", version, ", which the store does not have"));
  }
  auto dataset = std::make_shared<const v1::Dataset>(*std::move(found));
  cached = dataset;
  return std::shared_ptr<const v1::Dataset>(dataset);
}

absl::StatusOr<std::shared_ptr<const v1::Dataset>> Ledger::ShareDataset(v1::Dataset dataset) {
  std::weak_ptr<const v1::Dataset>& cached = datasets_[absl::StrCat(dataset.name(), "@", dataset.version())];
  if (auto shared = cached.lock()) return shared;
  ASSIGN_OR_RETURN(auto found, store_->FindDataset(dataset.name(), dataset.version()));
  if (!found.has_value()) batch_.datasets.push_back(dataset);
  auto shared = std::make_shared<const v1::Dataset>(std::move(dataset));
  cached = shared;
  return std::shared_ptr<const v1::Dataset>(shared);
}

const WorkerRecord* Ledger::FindWorker(const std::string& name) const {
  const auto found = workers_.find(name);
  return found == workers_.end() ? nullptr : &found->second;
}

WorkerRecord* Ledger::EditWorker(const std::string& name) {
  const auto found = workers_.find(name);
  if (found == workers_.end()) {
    worker_images_.try_emplace(name, std::nullopt);
    WorkerRecord& made = workers_[name];
    made.name = name;
    return &made;
  }
  worker_images_.try_emplace(name, found->second);
  return &found->second;
}

void Ledger::Heard(const std::string& name) {
  const auto found = workers_.find(name);
  if (found == workers_.end()) return;
  found->second.last_heard = now();
  heard_.push_back(name);
}

void Ledger::RemoveWorker(const std::string& name) {
  EditWorker(name);
  workers_.erase(name);
}

const v1::Cordon* Ledger::FindCordon(const std::string& worker, const std::string& device) const {
  for (const Slot& slot : {Slot{worker, ""}, Slot{worker, device}}) {
    if (const auto found = cordons_.find(slot); found != cordons_.end()) return &found->second;
  }
  return nullptr;
}

void Ledger::EditCordons() {
  if (!cordons_before_.has_value()) cordons_before_ = cordons_;
  want_schedule_ = true;
}

void Ledger::SetCordon(const v1::Cordon& cordon) {
  EditCordons();
  const Slot slot = {cordon.worker(), cordon.device()};
  cordons_[slot] = cordon;
  std::erase_if(batch_.removed_cordons, [&](const RemovedCordon& removed) {
    return Slot{removed.worker, removed.device} == slot;  // the store removes after it has added
  });
  batch_.cordons.push_back(cordon);
}

void Ledger::RemoveCordon(const Slot& slot) {
  EditCordons();
  cordons_.erase(slot);
  std::erase_if(batch_.cordons, [&](const v1::Cordon& cordon) {
    return Slot{cordon.worker(), cordon.device()} == slot;
  });
  batch_.removed_cordons.push_back({slot.worker, slot.device});
}

std::vector<std::pair<std::string, std::string>> Ledger::HoldsOf(const std::string& job) const {
  std::vector<std::pair<std::string, std::string>> holds;
  for (const auto& [name, worker] : workers_) {
    for (const auto& [device, hold] : worker.holds) {
      if (hold.job == job) holds.emplace_back(name, device);
    }
  }
  return holds;
}

const v1::Namespace* Ledger::FindNamespace(const std::string& name) const {
  const auto found = namespaces_.find(name);
  return found == namespaces_.end() ? nullptr : &found->second;
}

void Ledger::EditNamespace(const std::string& name) {
  const v1::Namespace* now = FindNamespace(name);
  namespace_images_.try_emplace(name, now == nullptr ? std::nullopt : std::optional(*now));
  want_schedule_ = true;
}

void Ledger::SetNamespace(const v1::Namespace& space) {
  EditNamespace(space.name());
  namespaces_[space.name()] = space;
}

void Ledger::RemoveNamespace(const std::string& name) {
  EditNamespace(name);
  namespaces_.erase(name);
}

void Ledger::Send(const std::string& worker, v1::ConnectResponse message) {
  const WorkerRecord* record = FindWorker(worker);
  if (record == nullptr) return;
  const auto session = sessions_.find(record->session);
  if (session == sessions_.end() || session->second.closed) return;  // it will register again, and be told
  AfterCommit([sink = session->second.sink, message = std::move(message)] { sink->Send(message); });
}

std::vector<std::string> Ledger::EditedJobs() const {
  std::vector<std::string> ids;
  for (const auto& [id, image] : job_images_) ids.push_back(id);
  return ids;
}

std::map<std::string, v1::JobState> Ledger::ChangedJobs() const {
  std::map<std::string, v1::JobState> changed;
  for (const auto& [id, image] : job_images_) {
    if (!image.stored) continue;
    changed[id] = image.was;
  }
  return changed;
}

std::vector<std::string> Ledger::EditedWorkers() const {
  std::vector<std::string> names;
  for (const auto& [name, before] : worker_images_) names.push_back(name);
  return names;
}

absl::Status Ledger::Commit() {
  batch_.jobs.clear();
  for (const auto& [id, image] : job_images_) {
    const JobRecord* job = image.stored ? FindJob(id) : nullptr;  // none: it is removed
    if (job != nullptr) batch_.jobs.push_back(job->stored);
  }
  for (const auto& [id, request] : requests_) batch_.requests.push_back(request);
  batch_.namespaces.clear();
  batch_.removed_namespaces.clear();
  for (const auto& [name, before] : namespace_images_) {
    if (const v1::Namespace* space = FindNamespace(name); space != nullptr) {
      batch_.namespaces.push_back(*space);
    } else {
      batch_.removed_namespaces.push_back(name);
    }
  }
  return store_->Commit(batch_);
}

void Ledger::Undo() {
  for (auto& [id, image] : job_images_) {
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) {
      const v1::Job& stored = job->second.stored.job;
      queue_.Remove(stored.namespace_(), stored.spec().priority(), id);
      ForgetUnfinished(stored);
    }
    holding_.erase(id);
    if (image.before.has_value()) {
      jobs_.insert_or_assign(id, *std::move(image.before));
      Reindex(id);
    } else {
      jobs_.erase(id);
    }
  }
  for (auto& [name, before] : worker_images_) {
    if (before.has_value()) {
      workers_.insert_or_assign(name, *std::move(before));
    } else {
      workers_.erase(name);
    }
  }
  for (auto& [name, before] : namespace_images_) {
    if (before.has_value()) {
      namespaces_[name] = *std::move(before);
    } else {
      namespaces_.erase(name);
    }
  }
  for (const std::string& id : marked_) deletions_.erase(id);
  if (cordons_before_.has_value()) cordons_ = *std::exchange(cordons_before_, std::nullopt);
  EndRound();
  want_schedule_ = true;
}

void Ledger::RunActions() {
  for (const auto& action : std::exchange(actions_, {})) action();
}

void Ledger::EndRound() {
  for (const auto& [id, image] : job_images_) {
    const auto job = jobs_.find(id);
    if (job != jobs_.end() && IsFinal(job->second.state())) jobs_.erase(job);
  }
  job_images_.clear();
  worker_images_.clear();
  heard_.clear();
  namespace_images_.clear();
  cordons_before_.reset();
  marked_.clear();
  requests_.clear();
  batch_ = Batch();
  actions_.clear();
  events_.clear();
}

}  // namespace lockstep
