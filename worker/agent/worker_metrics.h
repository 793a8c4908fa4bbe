// What the agent counts, as one place to count it. Counters are atomic inside: safe from any thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <map>
#include <string>

namespace prometheus {
class Registry;
}

namespace lockstep {

class WorkerMetrics {
 public:
  // `registry` must outlive this object.
  explicit WorkerMetrics(prometheus::Registry* registry);

  void TrainerCrashed(const std::string& signal);  // "SIGSEGV", or "none" for an exit code

  prometheus::Gauge& slots;
  prometheus::Gauge& slots_busy;
  prometheus::Gauge& slots_broken;
  prometheus::Counter& trainer_restarts;
  prometheus::Counter& heartbeats;
  prometheus::Gauge& connected;
  prometheus::Counter& reconnects;
  prometheus::Counter& compute_seconds;
  prometheus::Counter& communication_seconds;
  prometheus::Counter& input_seconds;
  prometheus::Counter& checkpoint_seconds;
  prometheus::Counter& steps;
  prometheus::Counter& samples;
  prometheus::Counter& tokens;
  prometheus::Histogram& round_trip;
  prometheus::Counter& dataset_bytes;
  prometheus::Counter& log_lines;
  prometheus::Counter& log_lines_dropped;

 private:
  prometheus::Family<prometheus::Counter>& crashes_;
};

}  // namespace lockstep
