// A child process that cannot be lost: spawned, watched through a pidfd, and killed and reaped when the
// object goes away. The child starts with an empty signal mask, default signal actions, its own process group
// (a Ctrl-C at the terminal reaches the parent alone) and no descriptors but 0, 1, 2 and those it was given.
//
//   Spawn --> running --(exit, signal)--> ended --Wait--> reaped
//
// Signal may be called from any thread, also beside Wait; Wait and TryWait from one thread at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/status.h"

namespace lockstep {

struct ExitStatus {
  int code = 0;    // exit code, if signal is 0
  int signal = 0;  // the signal that killed it, or 0

  bool ok() const { return code == 0 && signal == 0; }
  // "exit code 3" or "signal 11 (SIGSEGV)"
  std::string ToString() const;
};

// "SIGSEGV" for 11; "signal 63" for one without a name.
std::string SignalName(int signal);

class Child {
 public:
  struct Options {
    std::vector<std::string> argv;  // argv[0] is the path of the program; PATH is not searched
    std::vector<std::pair<std::string, std::string>> env;  // set over the parent's environment
    std::vector<std::pair<int, int>> fds;  // (ours, child's): ours stays open here and belongs to the caller
    std::string directory;                 // working directory; empty: the parent's
    // Sent to the child when the *thread* that calls Spawn ends, which includes the death of the process (see
    // PR_SET_PDEATHSIG). Call Spawn from a thread that lives as long as the children shall. 0: none.
    int parent_death_signal = 0;
  };

  // Returns when the program runs. NOT_FOUND, PERMISSION_DENIED, ...: it could not be executed, and why.
  static absl::StatusOr<std::unique_ptr<Child>> Spawn(const Options& options);
  // Kills (SIGKILL) and reaps it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // Readable (poll) once the child has ended. Owned by this object.
  int pidfd() const { return pidfd_; }

  // Never reaches another process that got the same pid. NOT_FOUND: it has ended.
  absl::Status Signal(int signal);
  // Blocks until it ends (true) or `timeout` is over; does not reap. From any thread, beside all others.
  bool WaitUntilEnded(absl::Duration timeout) const;
  // Blocks until it ends, and reaps it. Repeated calls return the same.
  ExitStatus Wait();
  // Blocks for at most `timeout`; nullopt: it still runs.
  std::optional<ExitStatus> TryWait(absl::Duration timeout = absl::ZeroDuration());

 private:
  Child(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}

  const pid_t pid_;
  const int pidfd_;
  std::optional<ExitStatus> exit_;
};

}  // namespace lockstep
