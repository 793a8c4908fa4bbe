#include "coordinator/server/log_source.h"

#include <utility>

namespace lockstep {
namespace {

constexpr int kLinesPerPage = 1000;
constexpr size_t kBytesPerMessage = 256 << 10;

}  // namespace

void LogSignal::OnChange(std::function<void()> wake) {
  absl::MutexLock lock(&mutex_);
  wake_ = wake == nullptr ? nullptr : std::make_shared<std::function<void()>>(std::move(wake));
}

void LogSignal::Changed() {
  std::shared_ptr<std::function<void()>> wake;
  {
    absl::MutexLock lock(&mutex_);
    wake = wake_;
  }
  if (wake != nullptr) (*wake)();
}

void LogSignal::End(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = std::move(status);
  }
  Changed();
}

std::optional<absl::Status> LogSignal::end() {
  absl::MutexLock lock(&mutex_);
  return end_;
}

LogSource::LogSource(Controller* controller, Store* store, const v1::StreamLogsRequest& request,
                     std::shared_ptr<LogSignal> signal)
    : controller_(controller), store_(store), request_(request), signal_(std::move(signal)) {
  v1::StreamLogsRequest newest = request_;
  newest.set_tail(1);  // only to be told of changes
  subscription_ = controller_->StreamLogs(
      newest,
      [weak = std::weak_ptr<LogSignal>(signal_)](const v1::StreamLogsResponse&) {
        if (auto alive = weak.lock(); alive != nullptr) alive->Changed();
      },
      [weak = std::weak_ptr<LogSignal>(signal_)](absl::Status status) {
        if (auto alive = weak.lock(); alive != nullptr) alive->End(std::move(status));
      });
}

LogSource::~LogSource() { signal_->OnChange(nullptr); }

absl::Status LogSource::Begin() {
  ASSIGN_OR_RETURN(const v1::Job job, controller_->GetJob(request_.job()));
  if (request_.tail() > 0) {
    ASSIGN_OR_RETURN(position_, store_->LogTail(job.id(), request_.tail()));
  }
  job_id_ = job.id();
  return absl::OkStatus();
}

absl::StatusOr<Pull> LogSource::Next(v1::StreamLogsResponse* message) {
  if (job_id_.empty()) RETURN_IF_ERROR(Begin());
  if (next_ == page_.size()) {
    // Asked before the store is: what was written before the end is then in the page.
    const std::optional<absl::Status> end = signal_->end();
    ASSIGN_OR_RETURN(LogPage page, store_->ReadLogs(job_id_, position_, kLinesPerPage));
    position_ = page.position;
    page_ = std::move(page.lines);
    next_ = 0;
    if (page_.empty()) {
      if (!end.has_value()) return Pull::kNothingYet;
      RETURN_IF_ERROR(*end);
      return Pull::kEnd;
    }
  }
  message->Clear();
  for (size_t bytes = 0; next_ < page_.size() && bytes < kBytesPerMessage; ++next_) {
    bytes += page_[next_].ByteSizeLong();
    *message->add_lines() = std::move(page_[next_]);
  }
  return Pull::kMessage;
}

}  // namespace lockstep
