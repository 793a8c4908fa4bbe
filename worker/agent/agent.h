// The agent of one node: keeps a warm trainer in each slot, holds the stream to the coordinator and carries
// orders and reports between the two.
//
//   warming --all slots warm (or broken)--> connecting --Registered--> active --stream ends--> connecting ...
//                                              ^    |                    |
//                                              +----+ back-off           +--Drain: idle, or 10 s--> Run
//                                              returns
//
// Jobs go on while there is no stream; what is to be reported waits in the outbox and the ledger. Trainers do
// not outlive the agent, however it ends.
//
// Run on the thread that lives as long as the process (see TrainerProcess); Drain from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/auth/client_access.h"
#include "common/base/status.h"
#include "worker/agent/gpu_choice.h"
#include "worker/agent/slot.h"

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace lockstep {

class Agent {
 public:
  struct Options {
    std::string coordinator = "127.0.0.1:7070";
    ClientAccess access;  // to the coordinator
    std::string name;     // unique on its coordinator
    std::string host;     // for people
    int cpu_slots = 1;
    GpuChoice gpus;                                    // each a slot of its own, before the CPU's
    std::string data_dir;                              // datasets/, logs/
    Slot::Options slot;                                // trainer.slot and log_directory are filled in
    absl::Duration drain_timeout = absl::Seconds(10);  // then trainers are killed
    // A killed predecessor of the same name may not have timed out yet.
    absl::Duration name_taken_patience = absl::Seconds(6);
    absl::Duration reconnect_limit = absl::Seconds(1);  // of the back-off
    bool allow_chaos = false;                           // faults on purpose, as the coordinator orders them
    std::function<void()> on_ready = [] {};             // once, when the coordinator has accepted this worker
  };

  // `registry` gets the worker's metrics and must outlive the agent.
  Agent(const Options& options, prometheus::Registry* registry);
  ~Agent();

  // What is computed at each scrape; see device_metrics.h.
  std::shared_ptr<prometheus::Collectable> device_metrics() const;

  // OK: drained. An error: the coordinator refuses this worker, or no trainer can be started; says what to
  // do.
  absl::Status Run();
  // First call: asks the coordinator to take the work away, and ends when it has. Second call: ends at once.
  void Drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
