// One trainer: the process, its control channel and its log pipe. Two threads listen (channel; log and end of
// the process) and post what they hear to the agent's loop.
//
// Lifecycle: Start, then any number of `message` and `lines`, then `exited`, exactly once and last:
// everything the process said before it died has been delivered by then. Dropping the object kills the
// process and waits for it; nothing is delivered afterwards. All calls on the loop's thread, which must be
// the one thread that lives as long as the agent: the kernel kills the trainer when that thread ends.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/process/child.h"
#include "lockstep/v1/trainer.pb.h"
#include "worker/agent/loop.h"

namespace lockstep {

struct TrainerLine {
  absl::Time time;
  std::string text;  // printable UTF-8, without the line's end
};

class TrainerProcess {
 public:
  struct Options {
    std::string program;  // path of lockstep-trainer
    int slot = 0;         // --slot
    int threads = 1;      // --threads
    std::string gpu;      // UUID of the only GPU that it sees; empty: computes on the CPU
    std::string advertise_host = "127.0.0.1";  // --host: where other trainers reach its collective
  };
  struct Events {  // run on the loop
    std::function<void(v1::FromTrainer)> message;
    std::function<void(std::vector<TrainerLine>)> lines;
    std::function<void(ExitStatus)> exited;
  };

  // NOT_FOUND, PERMISSION_DENIED: the program cannot be executed.
  static absl::StatusOr<std::unique_ptr<TrainerProcess>> Start(const Options& options, Loop* loop,
                                                               Events events);
  ~TrainerProcess();

  // UNAVAILABLE: it is gone, or has not read its channel for seconds.
  absl::Status Send(const v1::ToTrainer& message);
  void Kill();
  pid_t pid() const;

 private:
  struct Impl;
  TrainerProcess(std::shared_ptr<Events> events, std::unique_ptr<Impl> impl);
  std::shared_ptr<Events> events_;  // tasks hold it weakly: what comes after our end is not delivered
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
