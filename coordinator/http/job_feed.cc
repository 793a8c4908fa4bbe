#include "coordinator/http/job_feed.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/spec/message_text.h"
#include "common/spec/text_names.h"

namespace lockstep {
namespace {

// What the list shows. The rest is asked for when a job is opened.
std::string LineOf(const v1::Job& job) {
  v1::Job line;
  line.set_id(job.id());
  line.set_name(job.name());
  line.set_state(job.state());
  line.set_reason(job.reason().size() <= 300 ? job.reason() : job.reason().substr(0, 300) + " ...");
  *line.mutable_submitted_at() = job.submitted_at();
  if (job.has_started_at()) *line.mutable_started_at() = job.started_at();
  if (job.has_finished_at()) *line.mutable_finished_at() = job.finished_at();
  line.set_generation(job.generation());
  for (const v1::JobMember& member : job.members()) {
    v1::JobMember* place = line.add_members();
    place->set_rank(member.rank());
    place->set_worker(member.worker());
    place->set_device(member.device());
    place->set_straggler(member.straggler());
  }
  line.set_namespace_(job.namespace_());
  line.set_dataset_version(job.dataset_version());
  if (job.has_progress()) *line.mutable_progress() = job.progress();
  *line.mutable_metrics() = job.metrics();
  line.set_pause_requested(job.pause_requested());
  line.set_cancel_requested(job.cancel_requested());
  line.set_regrouping(job.regrouping());
  return MessageToCompactJson(line);
}

std::string Counts(const ControllerSnapshot& snapshot) {
  std::string text = "\"states\":{";
  for (int state = v1::JOB_STATE_QUEUED; state <= v1::JOB_STATE_CANCELLED; ++state) {
    absl::StrAppend(&text, state == v1::JOB_STATE_QUEUED ? "" : ",", "\"",
                    EnumText(*v1::JobState_descriptor(), state), "\":", snapshot.jobs_by_state[state]);
  }
  absl::StrAppend(&text, "},\"workers\":{\"ready\":", snapshot.workers_by_state[v1::WORKER_STATE_READY],
                  ",\"draining\":", snapshot.workers_by_state[v1::WORKER_STATE_DRAINING],
                  ",\"lost\":", snapshot.workers_by_state[v1::WORKER_STATE_LOST],
                  "},\"devices\":{\"busy\":", snapshot.devices_busy, ",\"total\":", snapshot.devices_total,
                  "}");
  return text;
}

}  // namespace

JobFeed::JobFeed(Source source, Clock* clock)
    : source_(std::move(source)),
      clock_(clock),
      incarnation_(absl::StrCat(absl::Hex(absl::ToUnixNanos(clock->Now())))) {}

void JobFeed::Keep(const v1::Job& job, int64_t revision) {
  Line& line = lines_[job.id()];
  if (line.revision != 0) by_revision_.erase(line.revision);
  line = {revision, LineOf(job), job.namespace_(), job.state()};
  by_revision_.emplace(revision, job.id());
}

void JobFeed::Drop(const std::string& id) {
  const auto line = lines_.find(id);
  if (line == lines_.end()) return;
  by_revision_.erase(line->second.revision);
  lines_.erase(line);
  oldest_cursor_ = ++revision_;
}

absl::Status JobFeed::Refresh() {
  if (clock_->Now() - read_at_ < kFresh && clock_->Now() >= read_at_) return absl::OkStatus();
  const JobChanges changes = source_.changes(seen_);
  if (seen_ < 0 || !changes.complete) {
    ASSIGN_OR_RETURN(const std::vector<v1::Job> newest, source_.newest(kMostJobs));
    lines_.clear();
    by_revision_.clear();
    for (auto job = newest.rbegin(); job != newest.rend(); ++job) Keep(*job, ++revision_);
    oldest_cursor_ = revision_;
  } else {
    for (const std::string& id : changes.jobs) {
      const auto job = source_.job(id);
      if (absl::IsNotFound(job.status())) {  // deleted: who has it must read all anew
        Drop(id);
        continue;
      }
      RETURN_IF_ERROR(job.status());
      const bool too_old = lines_.size() >= kMostJobs && !lines_.contains(id) && id < lines_.begin()->first;
      if (!too_old) Keep(*job, ++revision_);
    }
    while (lines_.size() > kMostJobs) {
      by_revision_.erase(lines_.begin()->second.revision);
      lines_.erase(lines_.begin());
    }
  }
  seen_ = changes.revision;
  read_at_ = clock_->Now();
  return absl::OkStatus();
}

absl::StatusOr<std::string> JobFeed::After(const std::string& cursor, const Scope& scope) {
  ControllerSnapshot snapshot = source_.snapshot();
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(Refresh());
  if (!scope.only.empty()) {
    std::fill(std::begin(snapshot.jobs_by_state), std::end(snapshot.jobs_by_state), 0);
    for (const auto& [id, line] : lines_)
      snapshot.jobs_by_state[line.state] += scope.Sees(line.space) ? 1 : 0;
  }
  const std::string counts = Counts(snapshot);
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(cursor, absl::MaxSplits('.', 1));
  int64_t after = 0;
  const bool ours = parts.first == incarnation_ && absl::SimpleAtoi(parts.second, &after) &&
                    after >= oldest_cursor_ && after <= revision_;
  std::string text = absl::StrCat(
      "{\"cursor\":\"", incarnation_, ".", revision_, "\",\"reset\":", ours ? "false" : "true", ",\"now\":\"",
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", clock_->Now(), absl::UTCTimeZone()), "\",", counts,
      ",\"jobs\":[");
  bool first = true;
  for (auto line = by_revision_.upper_bound(ours ? after : -1); line != by_revision_.end(); ++line) {
    const Line& job = lines_.at(line->second);
    if (!scope.Sees(job.space)) continue;
    absl::StrAppend(&text, first ? "" : ",\n", job.json);
    first = false;
  }
  return text + "]}";
}

}  // namespace lockstep
