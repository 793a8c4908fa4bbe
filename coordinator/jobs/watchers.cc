#include "coordinator/jobs/watchers.h"

#include <algorithm>
#include <set>

#include "coordinator/jobs/state_machine.h"

namespace lockstep {
namespace {

constexpr int kPage = 1'000;
constexpr absl::Duration kLinger = absl::Seconds(1);

}  // namespace

bool Watchers::IsActive(const std::string& id) const {
  const JobRecord* job = ledger_->FindJob(id);
  return job != nullptr && !IsFinal(job->state());
}

void Watchers::End(Watch* watch, const absl::Status& status) {
  std::lock_guard<std::recursive_mutex> lock(watch->mutex);
  if (watch->over) return;
  watch->over = true;
  watch->end(status);
}

void Watchers::Attach(const std::shared_ptr<Watch>& watch) {
  auto id = ledger_->ResolveJob(watch->job);
  if (!id.ok()) return End(watch.get(), id.status());
  watch->job = *id;
  if (watch->next_job) {
    const JobRecord* here = ledger_->FindJob(*id);
    v1::Job job;
    if (here != nullptr) {
      job = here->stored.job;
    } else {
      auto stored = ledger_->store()->GetJob(*id);
      if (!stored.ok()) return End(watch.get(), stored.status());
      job = std::move(stored->job);
    }
    {
      std::lock_guard<std::recursive_mutex> lock(watch->mutex);
      if (watch->over) return;
      watch->next_job(job);
    }
    if (IsFinal(job.state())) return End(watch.get(), absl::OkStatus());
    watch->caught_up = true;
  } else if (watch->next_logs && watch->tail > 0) {
    auto position = ledger_->store()->LogTail(*id, watch->tail);
    if (!position.ok()) return End(watch.get(), position.status());
    watch->position = *position;
  } else if (watch->next_metrics) {
    watch->position = -1;
  }
  watches_.push_back(watch);
}

void Watchers::Notify() {
  if (watches_.empty()) return;
  const auto changed = ledger_->ChangedJobs();
  std::set<std::string> logged;
  for (const StoredLine& line : ledger_->batch().lines) logged.insert(line.job_id);
  // A callback may attach or drop subscriptions only through events, so the list does not change here.
  for (const auto& watch : watches_) {
    if (watch->next_job && changed.count(watch->job) > 0) {
      const JobRecord* job = ledger_->FindJob(watch->job);
      if (job == nullptr) continue;
      {
        std::lock_guard<std::recursive_mutex> lock(watch->mutex);
        if (watch->over) continue;
        watch->next_job(job->stored.job);
      }
      if (IsFinal(job->state())) End(watch.get(), absl::OkStatus());
    } else if (watch->next_logs && logged.count(watch->job) > 0) {
      watch->caught_up = false;
    } else if (watch->next_metrics) {
      // Points beyond the position of one that lags are read by its paging.
      v1::StreamMetricsResponse response;
      for (const StoredPoint& point : ledger_->batch().points) {
        if (point.job_id != watch->job) continue;
        if (!watch->caught_up && point.point.step() > watch->position) continue;
        *response.add_points() = point.point;
        watch->position = std::max(watch->position, point.point.step());
      }
      if (response.points_size() == 0) continue;
      std::lock_guard<std::recursive_mutex> lock(watch->mutex);
      if (!watch->over) watch->next_metrics(response);
    }
  }
}

void Watchers::PumpLogs(Watch* watch) {
  auto page = ledger_->store()->ReadLogs(watch->job, watch->position, kPage);
  if (!page.ok()) return End(watch, page.status());
  watch->position = page->position;
  watch->caught_up = page->lines.size() < kPage;
  if (page->lines.empty()) return;
  v1::StreamLogsResponse response;
  for (v1::LogLine& line : page->lines) *response.add_lines() = std::move(line);
  std::lock_guard<std::recursive_mutex> lock(watch->mutex);
  if (!watch->over) watch->next_logs(response);
}

void Watchers::PumpMetrics(Watch* watch) {
  auto points = ledger_->store()->ReadMetrics(watch->job, watch->position, kPage);
  if (!points.ok()) return End(watch, points.status());
  watch->caught_up = points->size() < kPage;
  if (points->empty()) return;
  watch->position = points->back().step();
  v1::StreamMetricsResponse response;
  for (v1::MetricPoint& point : *points) *response.add_points() = std::move(point);
  std::lock_guard<std::recursive_mutex> lock(watch->mutex);
  if (!watch->over) watch->next_metrics(response);
}

bool Watchers::Pump() {
  bool more = false;
  for (const auto& watch : watches_) {
    {
      std::lock_guard<std::recursive_mutex> lock(watch->mutex);
      if (watch->over) continue;
    }
    if (watch->next_job) continue;
    if (!watch->caught_up) watch->next_logs ? PumpLogs(watch.get()) : PumpMetrics(watch.get());
    if (!watch->caught_up) {
      more = true;
    } else if (!watch->follow) {
      End(watch.get(), absl::OkStatus());
    } else if (!IsActive(watch->job)) {
      if (watch->linger_until == absl::InfiniteFuture()) watch->linger_until = ledger_->now() + kLinger;
      const bool lingers = watch->next_logs && !ledger_->HoldsOf(watch->job).empty();
      if (!lingers || ledger_->now() >= watch->linger_until) End(watch.get(), absl::OkStatus());
    }
  }
  watches_.erase(std::remove_if(watches_.begin(), watches_.end(),
                                [](const std::shared_ptr<Watch>& watch) {
                                  std::lock_guard<std::recursive_mutex> lock(watch->mutex);
                                  return watch->over;
                                }),
                 watches_.end());
  return more;
}

void Watchers::EndAll(const absl::Status& status) {
  for (const auto& watch : watches_) End(watch.get(), status);
  watches_.clear();
}

}  // namespace lockstep
