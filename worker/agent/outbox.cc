#include "worker/agent/outbox.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/agent/ledger.h"

namespace lockstep {

Outbox::Outbox() : Outbox(Limits()) {}
Outbox::Outbox(const Limits& limits) : limits_(limits) {}

Outbox::Item* Outbox::JoinableBack() {
  if (waiting_.empty() || (writing_ && waiting_.size() == 1)) return nullptr;
  return &waiting_.back();
}

void Outbox::PushLog(const std::string& job_id, v1::LogLine line) {
  const size_t bytes = line.text().size();
  Item* item = JoinableBack();
  if (item == nullptr || !item->message.has_logs() || item->message.logs().job_id() != job_id ||
      item->dropped > 0 || item->message.logs().lines_size() >= limits_.batch_lines ||
      item->bytes + bytes > limits_.batch_bytes) {
    item = &waiting_.emplace_back();
    item->message.mutable_logs()->set_job_id(job_id);
  }
  *item->message.mutable_logs()->add_lines() = std::move(line);
  ++item->lines;
  item->bytes += bytes;
  ++lines_;
  bytes_ += bytes;
  while (lines_ > limits_.log_lines || bytes_ > limits_.log_bytes) {
    const size_t before = lines_;
    DropOldLogs();
    if (lines_ == before) break;
  }
}

// Replaces the oldest batch that is not being written by one line that says how many are gone.
void Outbox::DropOldLogs() {
  size_t marker = waiting_.size();  // none seen
  for (size_t i = writing_ ? 1 : 0; i < waiting_.size(); ++i) {
    Item& item = waiting_[i];
    if (!item.message.has_logs()) continue;
    if (item.dropped > 0) {
      marker = i;
      continue;
    }
    if (item.lines < 2 && i + 1 == waiting_.size()) return;  // the newest line stays
    item.dropped = static_cast<int64_t>(item.lines);
    dropped_lines_ += item.dropped;
    lines_ -= item.lines - 1;
    bytes_ -= item.bytes;
    v1::LogLine last = *item.message.mutable_logs()->mutable_lines()->rbegin();
    item.message.mutable_logs()->clear_lines();
    const bool joins =
        marker < waiting_.size() && waiting_[marker].message.logs().job_id() == item.message.logs().job_id();
    if (joins) item.dropped += waiting_[marker].dropped;
    last.set_text(
        absl::StrCat("[agent] ", item.dropped, " lines were dropped here: the coordinator was away"));
    item.lines = 1;
    item.bytes = last.text().size();
    bytes_ += item.bytes;
    *item.message.mutable_logs()->add_lines() = std::move(last);
    if (joins) {
      lines_ -= waiting_[marker].lines;
      bytes_ -= waiting_[marker].bytes;
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(marker));
    }
    return;
  }
}

void Outbox::PushProgress(v1::Progress progress) {
  Item* item = JoinableBack();
  if (item != nullptr && item->message.has_progress() &&
      item->message.progress().job_id() == progress.job_id() &&
      item->message.progress().generation() == progress.generation() &&
      item->message.progress().points_size() < limits_.batch_points) {
    v1::Progress& waiting = *item->message.mutable_progress();
    for (v1::MetricPoint& point : *progress.mutable_points()) *waiting.add_points() = std::move(point);
    *waiting.mutable_progress() = std::move(*progress.mutable_progress());
    return;
  }
  *waiting_.emplace_back().message.mutable_progress() = std::move(progress);
}

void Outbox::Push(v1::ConnectRequest message) { waiting_.emplace_back().message = std::move(message); }

const v1::ConnectRequest* Outbox::Next() {
  if (writing_ || waiting_.empty()) return nullptr;
  writing_ = true;
  return &waiting_.front().message;
}

void Outbox::Written(absl::Time now) {
  if (!writing_) return;
  writing_ = false;
  Item item = std::move(waiting_.front());
  waiting_.pop_front();
  lines_ -= item.lines;
  bytes_ -= item.bytes;
  if (item.forgotten) return;
  item.written = now;
  unconfirmed_bytes_ += item.bytes;
  unconfirmed_.push_back(std::move(item));
  while (!unconfirmed_.empty() && (unconfirmed_.front().written + limits_.confirm_after < now ||
                                   unconfirmed_bytes_ > limits_.log_bytes)) {
    unconfirmed_bytes_ -= unconfirmed_.front().bytes;
    unconfirmed_.pop_front();
  }
}

void Outbox::Disconnected(absl::Time now) {
  writing_ = false;
  unconfirmed_bytes_ = 0;
  while (!unconfirmed_.empty()) {
    Item item = std::move(unconfirmed_.back());
    unconfirmed_.pop_back();
    if (item.written + limits_.confirm_after < now) continue;
    lines_ += item.lines;
    bytes_ += item.bytes;
    waiting_.push_front(std::move(item));
  }
  std::erase_if(waiting_, [](const Item& item) {
    return item.forgotten || (item.message.has_assignment() && !IsFinal(item.message.assignment().state()));
  });
}

void Outbox::Forget(const v1::ForgetAssignment& forget) {
  const auto ended = [&](const Item& item) {
    const v1::AssignmentStatus& status = item.message.assignment();
    return item.message.has_assignment() && IsFinal(status.state()) && status.job_id() == forget.job_id() &&
           status.generation() == forget.generation() && status.device() == forget.device();
  };
  std::erase_if(unconfirmed_, ended);
  if (writing_ && ended(waiting_.front())) waiting_.front().forgotten = true;
  const auto first = waiting_.begin() + (writing_ ? 1 : 0);
  waiting_.erase(std::remove_if(first, waiting_.end(), ended), waiting_.end());
}

bool Outbox::HasStatus(const v1::AssignmentStatus& status) const {
  for (const Item& item : waiting_) {
    const v1::AssignmentStatus& queued = item.message.assignment();
    if (item.message.has_assignment() && queued.job_id() == status.job_id() &&
        queued.generation() == status.generation() && queued.device() == status.device()) {
      return true;
    }
  }
  return false;
}

}  // namespace lockstep
