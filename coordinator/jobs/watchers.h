// Subscriptions to jobs, logs and metrics: what is stored first, in pages, then what each round adds.
// Callbacks run on the control thread, one page at a time, so that a long log does not hold up the jobs.
//
// Watch is shared by the control thread and the subscriber's handle; its mutex makes "no callback after the
// handle is gone" true. Everything else is called by the control thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "coordinator/jobs/ledger.h"

namespace lockstep {

struct Watch {
  std::recursive_mutex mutex;  // recursive: a callback may drop its own handle
  bool over = false;           // ended, or the handle is gone

  std::string job;  // as asked for; the id once it is attached
  bool follow = true;
  int64_t tail = 0;
  std::function<void(const v1::Job&)> next_job;  // exactly one of the three is set
  std::function<void(const v1::StreamLogsResponse&)> next_logs;
  std::function<void(const v1::StreamMetricsResponse&)> next_metrics;
  Controller::EndCallback end;

  int64_t position = 0;                              // in the log; or the last step given
  bool caught_up = false;                            // all that is stored was given
  absl::Time linger_until = absl::InfiniteFuture();  // last lines may come after the end of a job
};

class Watchers {
 public:
  explicit Watchers(Ledger* ledger) : ledger_(ledger) {}

  void Attach(const std::shared_ptr<Watch>& watch);
  // What the committed round changed. REQUIRES: the ledger's round has not been ended yet.
  void Notify();
  // Gives each subscriber that lags one page. True: there is more to give.
  bool Pump();
  // Ends all with `status`.
  void EndAll(const absl::Status& status);

 private:
  void End(Watch* watch, const absl::Status& status);
  void PumpLogs(Watch* watch);
  void PumpMetrics(Watch* watch);
  bool IsActive(const std::string& job) const;

  Ledger* const ledger_;
  std::vector<std::shared_ptr<Watch>> watches_;
};

}  // namespace lockstep
