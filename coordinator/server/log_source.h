// A job's log as a stream, read from the store page by page as the reader takes it: however long the log and
// however slow the reader, one page is in memory. The controller's subscription only tells when there is more
// and when there will be no more; its lines are not used.
//
//   controller --something new--> LogSignal --wake--> stream --Next--> store (on a pool thread)
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/stream_source.h"
#include "coordinator/store/store.h"

namespace lockstep {

// Between the control thread and the stream. Thread-safe; Changed and End do not block.
class LogSignal {
 public:
  void OnChange(std::function<void()> wake);
  void Changed();
  void End(absl::Status status);  // also a change
  std::optional<absl::Status> end();

 private:
  absl::Mutex mutex_;
  std::shared_ptr<std::function<void()>> wake_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

class LogSource : public StreamSource<v1::StreamLogsResponse> {
 public:
  // Subscribes at once; the store is first read with Next. `controller` and `store` must outlive this.
  LogSource(Controller* controller, Store* store, const v1::StreamLogsRequest& request,
            std::shared_ptr<LogSignal> signal);
  ~LogSource() override;

  absl::StatusOr<Pull> Next(v1::StreamLogsResponse* message) override;

 private:
  absl::Status Begin();

  Controller* const controller_;
  Store* const store_;
  const v1::StreamLogsRequest request_;
  const std::shared_ptr<LogSignal> signal_;
  std::unique_ptr<Controller::Subscription> subscription_;
  std::string job_id_;  // empty: not begun
  int64_t position_ = 0;
  std::vector<v1::LogLine> page_;  // from next_ on still to be sent
  size_t next_ = 0;
};

}  // namespace lockstep
