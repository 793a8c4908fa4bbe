#include "common/process/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/time/clock.h"

extern char** environ;

namespace lockstep {
namespace {

// Everything the child needs between fork and exec, made before: there it may neither allocate nor lock.
struct Plan {
  std::vector<std::string> env_strings;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::vector<std::pair<int, int>> fds;
  std::vector<int> lifted;  // duplicates of the sources, above every target
  const char* directory = nullptr;
  int death_signal = 0;
  pid_t parent = 0;
  int lift_to = 0;
};

Plan MakePlan(const Child::Options& options) {
  Plan plan;
  std::map<std::string, std::string> env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) env[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : options.env) env[name] = value;
  for (const auto& [name, value] : env) plan.env_strings.push_back(absl::StrCat(name, "=", value));
  for (std::string& entry : plan.env_strings) plan.envp.push_back(entry.data());
  plan.envp.push_back(nullptr);
  for (const std::string& argument : options.argv) plan.argv.push_back(const_cast<char*>(argument.c_str()));
  plan.argv.push_back(nullptr);
  plan.fds = options.fds;
  plan.lifted.resize(options.fds.size());
  plan.lift_to = 3;
  for (const auto& [ours, theirs] : options.fds) plan.lift_to = std::max(plan.lift_to, theirs + 1);
  if (!options.directory.empty()) plan.directory = options.directory.c_str();
  plan.death_signal = options.parent_death_signal;
  plan.parent = ::getpid();
  return plan;
}

// Runs in the child; async-signal-safe calls only. Returns if something failed, with errno set.
void BecomeProgram(Plan& plan, int* report) {
  ::setpgid(0, 0);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, plan.death_signal) != 0) return;
    if (::getppid() != plan.parent) ::_exit(127);  // the parent died before the line above
  }
  if (plan.directory != nullptr && ::chdir(plan.directory) != 0) return;
  // A source may also be some target, so all are lifted out of the way first.
  *report = ::fcntl(*report, F_DUPFD_CLOEXEC, plan.lift_to);
  if (*report < 0) return;
  for (size_t i = 0; i < plan.fds.size(); ++i) {
    plan.lifted[i] = ::fcntl(plan.fds[i].first, F_DUPFD_CLOEXEC, plan.lift_to);
    if (plan.lifted[i] < 0) return;
  }
  // Ours are close-on-exec already; this is for descriptors of libraries, so an old kernel's refusal is no
  // error.
  ::syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
  for (size_t i = 0; i < plan.fds.size(); ++i) {
    if (::dup2(plan.lifted[i], plan.fds[i].second) < 0) return;
  }
  ::execve(plan.argv[0], plan.argv.data(), plan.envp.data());
}

int WaitForReadable(int fd, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    pollfd entry = {fd, POLLIN, 0};
    const int64_t left = std::clamp<int64_t>(absl::ToInt64Milliseconds(deadline - absl::Now()), 0, 60'000);
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return 1;
    if (ready == 0 && absl::Now() >= deadline) return 0;
    if (ready < 0 && errno != EINTR) return -1;
  }
}

}  // namespace

std::string SignalName(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("signal ", signal);
}

std::string ExitStatus::ToString() const {
  if (signal != 0) return absl::StrCat("signal ", signal, " (", SignalName(signal), ")");
  return absl::StrCat("exit code ", code);
}

absl::StatusOr<std::unique_ptr<Child>> Child::Spawn(const Options& options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("Spawn: argv is empty");
  Plan plan = MakePlan(options);
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", options.argv[0], ": pipe"));
  }
  // All signals are held back across fork, so that no handler of ours runs in the child.
  sigset_t all, old;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  const pid_t pid = ::fork();
  if (pid == 0) {
    BecomeProgram(plan, &report[1]);
    const int error = errno;
    [[maybe_unused]] const ssize_t ignored = ::write(report[1], &error, sizeof(error));
    ::_exit(127);
  }
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::close(report[1]);
  if (pid < 0) {
    ::close(report[0]);
    return absl::ErrnoToStatus(fork_error, absl::StrCat("cannot start ", options.argv[0], ": fork"));
  }

  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  const int pidfd_error = errno;
  // The pipe closes without a word when exec succeeds.
  int error = 0;
  ssize_t got;
  do {
    got = ::read(report[0], &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  ::close(report[0]);
  if (got == sizeof(error) || pidfd < 0) {
    if (got != sizeof(error)) ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    if (pidfd >= 0) ::close(pidfd);
    if (got == sizeof(error))
      return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", options.argv[0]));
    return absl::ErrnoToStatus(pidfd_error, absl::StrCat("cannot watch ", options.argv[0], ": pidfd_open"));
  }
  return std::unique_ptr<Child>(new Child(pid, pidfd));
}

Child::~Child() {
  if (!exit_.has_value()) {
    Signal(SIGKILL).IgnoreError();
    Wait();
  }
  ::close(pidfd_);
}

absl::Status Child::Signal(int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, 0) != 0) {
    if (errno == ESRCH) return absl::NotFoundError(absl::StrCat("process ", pid_, " has ended"));
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot send ", SignalName(signal), " to process ", pid_));
  }
  return absl::OkStatus();
}

bool Child::WaitUntilEnded(absl::Duration timeout) const { return WaitForReadable(pidfd_, timeout) != 0; }

ExitStatus Child::Wait() {
  while (!exit_.has_value()) {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, 0);
    if (got < 0 && errno == EINTR) continue;
    ExitStatus exit;
    if (got < 0) {
      exit.code = -1;  // somebody else reaped it: its end is unknown
    } else if (WIFSIGNALED(status)) {
      exit.signal = WTERMSIG(status);
    } else {
      exit.code = WEXITSTATUS(status);
    }
    exit_ = exit;
  }
  return *exit_;
}

std::optional<ExitStatus> Child::TryWait(absl::Duration timeout) {
  if (!exit_.has_value() && !WaitUntilEnded(timeout)) return std::nullopt;
  return Wait();
}

}  // namespace lockstep
