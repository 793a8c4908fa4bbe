#include "coordinator/tracking/follower.h"

#include <algorithm>

#include "common/logging/logging.h"

namespace lockstep {
namespace {

bool IsFinal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Follower>> Follower::Start(const Options& options, PointLog* log, Store* store,
                                                          std::unique_ptr<TrackingSink> sink) {
  ASSIGN_OR_RETURN(const int64_t position, log->Position(sink->id()));
  return std::unique_ptr<Follower>(new Follower(options, log, store, std::move(sink), position));
}

Follower::Follower(const Options& options, PointLog* log, Store* store, std::unique_ptr<TrackingSink> sink,
                   int64_t position)
    : options_(options),
      log_(log),
      store_(store),
      sink_(std::move(sink)),
      position_(position),
      thread_([this] { Run(); }) {}

Follower::~Follower() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  sink_->Stop();
  wake_.notify_all();
  thread_.join();
}

FollowerCounters Follower::Counters() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counters_;
}

void Follower::Run() {
  const absl::Duration first = std::min(absl::Seconds(1), options_.longest_backoff);
  absl::Duration backoff = first;
  std::string told;
  while (true) {
    const absl::StatusOr<bool> more = Round();
    std::unique_lock<std::mutex> lock(mutex_);
    if (stopping_) return;
    absl::Duration pause = options_.poll;
    if (more.ok()) {
      if (!told.empty()) LogInfo("tracking goes on", {{"sink", sink_->kind()}});
      told.clear();
      backoff = first;
      if (*more) continue;
    } else {
      ++counters_.failures;
      pause = backoff;
      backoff = std::min(2 * backoff, options_.longest_backoff);
      if (std::string text(more.status().message()); text != told) {
        LogWarning("tracking waits: points are kept and sent later",
                   {{"sink", sink_->kind()}, {"lag", counters_.lag}, {"error", text}});
        told = std::move(text);
      }
    }
    wake_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
    if (stopping_) return;
  }
}

absl::StatusOr<bool> Follower::Round() {
  // In this order: a job's last points are stored before, or with, its final state.
  ASSIGN_OR_RETURN(const std::vector<TrackedJob> finals, FinalJobs());
  ASSIGN_OR_RETURN(const int64_t end, log_->End());
  {
    std::lock_guard<std::mutex> lock(mutex_);
    counters_.lag = std::max<int64_t>(0, end - position_);
  }
  ASSIGN_OR_RETURN(const std::vector<PointChange> changes, log_->Read(sink_->id(), position_, options_.page));
  const bool all = changes.size() < static_cast<size_t>(options_.page);
  const Written written = WriteAll(changes, all ? std::max(end, position_) : changes.back().position);
  if (written.position != position_ || !written.jobs.empty()) {
    RETURN_IF_ERROR(Commit(written.position, written.jobs));
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    counters_.lag = std::max<int64_t>(0, end - position_);
  }
  RETURN_IF_ERROR(written.status);
  if (!all) return true;
  RETURN_IF_ERROR(EndJobs(finals));
  return false;
}

absl::StatusOr<std::vector<TrackedJob>> Follower::FinalJobs() {
  ASSIGN_OR_RETURN(std::vector<TrackedJob> jobs, log_->OpenJobs(sink_->id()));
  std::vector<TrackedJob> finals;
  for (TrackedJob& tracked : jobs) {
    const absl::StatusOr<StoredJob> stored = store_->GetJob(tracked.job_id);
    if (absl::IsNotFound(stored.status())) {  // deleted: what the sink has of it stays as it is
      tracked.ended = true;
      RETURN_IF_ERROR(Commit(position_, {tracked}));
      continue;
    }
    RETURN_IF_ERROR(stored.status());
    if (IsFinal(stored->job.state())) finals.push_back(std::move(tracked));
  }
  return finals;
}

Follower::Written Follower::WriteAll(const std::vector<PointChange>& changes, int64_t end) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<PointChange>> by_job;
  for (const PointChange& change : changes) {
    std::vector<PointChange>& points = by_job[change.job_id];
    if (points.empty()) order.push_back(change.job_id);
    points.push_back(change);
  }
  Written written;
  written.position = end;
  for (const std::string& id : order) {
    std::vector<PointChange>& points = by_job[id];
    // Up to where all is done when this job is not.
    const int64_t before = points.front().position - 1;
    const auto known = log_->FindJob(sink_->id(), id);
    TrackedJob tracked;
    if (known.ok() && known->has_value()) tracked = **known;
    tracked.job_id = id;
    std::erase_if(points, [&](const PointChange& point) { return point.position <= tracked.position; });
    if (points.empty()) continue;
    written.status = known.ok() ? WriteJob(points, &tracked) : known.status();
    if (!written.status.ok()) {
      written.position = before;
      return written;
    }
    written.jobs.push_back(std::move(tracked));
  }
  return written;
}

absl::Status Follower::WriteJob(const std::vector<PointChange>& points, TrackedJob* tracked) {
  const absl::StatusOr<StoredJob> stored = store_->GetJob(tracked->job_id);
  const auto count = static_cast<int64_t>(points.size());
  absl::Status status;
  if (absl::IsNotFound(stored.status())) {  // deleted before the sink had all of it
    tracked->refused = true;
  } else if (!stored.ok()) {
    return stored.status();
  } else if (!tracked->refused) {
    status = sink_->Write(stored->job, points, tracked);
  }
  if (absl::IsInvalidArgument(status)) {
    LogError("tracking: the job is left out from now on",
             {{"sink", sink_->kind()}, {"job", tracked->job_id}, {"error", status}});
    tracked->refused = tracked->ended = true;
  } else if (!status.ok()) {
    return status;
  } else {
    tracked->ended = tracked->refused;
  }
  tracked->position = points.back().position;
  for (const PointChange& change : points) tracked->step = std::max(tracked->step, change.point.step());
  std::lock_guard<std::mutex> lock(mutex_);
  (tracked->refused ? counters_.points_refused : counters_.points_written) += count;
  return absl::OkStatus();
}

absl::Status Follower::EndJobs(const std::vector<TrackedJob>& finals) {
  for (TrackedJob tracked : finals) {
    // It may have had points in this round.
    ASSIGN_OR_RETURN(const auto known, log_->FindJob(sink_->id(), tracked.job_id));
    if (known.has_value()) tracked = *known;
    if (tracked.ended) continue;
    const absl::StatusOr<StoredJob> stored = store_->GetJob(tracked.job_id);
    if (absl::IsNotFound(stored.status())) continue;  // deleted; the next round sees it
    RETURN_IF_ERROR(stored.status());
    if (!IsFinal(stored->job.state())) continue;
    const absl::Status status = sink_->End(stored->job, &tracked);
    if (absl::IsInvalidArgument(status)) {
      LogError("tracking: the job's end was refused",
               {{"sink", sink_->kind()}, {"job", tracked.job_id}, {"error", status}});
      tracked.refused = true;
    } else if (!status.ok()) {
      return status;
    }
    tracked.ended = true;
    RETURN_IF_ERROR(Commit(position_, {tracked}));
  }
  return absl::OkStatus();
}

absl::Status Follower::Commit(int64_t position, const std::vector<TrackedJob>& jobs) {
  RETURN_IF_ERROR(log_->Commit(sink_->id(), position, jobs));
  position_ = position;
  return absl::OkStatus();
}

}  // namespace lockstep
