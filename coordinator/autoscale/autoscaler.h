// Asks every few seconds how many workers there should be (decide.h) and tells the cluster, on a thread of
// its own. A cluster that does not answer is asked again after 1, 2, 4, ... 60 s; jobs do not notice.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "coordinator/autoscale/decide.h"
#include "coordinator/autoscale/kubernetes_scale.h"

namespace lockstep {

struct AutoscaleCounters {
  int64_t replicas = 0;  // asked for last
  int64_t changes = 0;
  int64_t failures = 0;
};

class Autoscaler {
 public:
  struct Source {
    std::function<int64_t()> devices_wanted;
    std::function<std::vector<v1::Worker>()> workers;
  };
  struct Pace {
    absl::Duration poll = absl::Seconds(2);
    absl::Duration longest_backoff = absl::Seconds(60);
  };
  // `source` and `clock` are used until this is gone.
  Autoscaler(const ScaleLimits& limits, std::string stateful_set, const Pace& pace,
             std::unique_ptr<KubernetesScale> cluster, Source source, Clock* clock);
  ~Autoscaler();

  AutoscaleCounters Counters() const;

 private:
  void Run();
  absl::Status Round();

  const ScaleLimits limits_;
  const std::string stateful_set_;
  const Pace pace_;
  const std::unique_ptr<KubernetesScale> cluster_;
  const Source source_;
  Clock* const clock_;
  ScaleHistory history_;        // the thread's own
  int devices_per_worker_ = 1;  // as last seen
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  AutoscaleCounters counters_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

// nullptr: options.cluster is empty. FAILED_PRECONDITION: this is no pod of a cluster.
absl::StatusOr<std::unique_ptr<Autoscaler>> StartAutoscaler(const AutoscaleOptions& options,
                                                            Autoscaler::Source source, Clock* clock);

}  // namespace lockstep
