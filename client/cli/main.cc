#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>

#include "client/cli/app.h"

namespace {

int TerminalWidth() {
  winsize size{};
  for (const int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  const char* columns = std::getenv("COLUMNS");
  const int given = columns != nullptr ? std::atoi(columns) : 0;
  return given >= 20 && given <= 1000 ? given : 80;
}

// Takes SIGINT, SIGTERM and SIGHUP on a thread of its own, so that no code runs inside a handler. REQUIRES:
// made before any other thread.
class SignalThread {
 public:
  SignalThread() {
    ::sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) ::sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this] {
      for (;;) {
        int signal = 0;
        if (::sigwait(&signals_, &signal) != 0) continue;
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        if (signal == SIGUSR1) continue;
        if (session_ != nullptr) {
          session_->Interrupt();
        } else {
          std::_Exit(128 + signal);
        }
      }
    });
  }

  ~SignalThread() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

  void Route(lockstep::Session* session) {
    const std::lock_guard lock(mutex_);
    session_ = session;
  }

 private:
  sigset_t signals_{};
  std::mutex mutex_;
  bool stopping_ = false;
  lockstep::Session* session_ = nullptr;
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);  // what went wrong is said in our words
  ::signal(SIGPIPE, SIG_IGN);                           // a closed pipe is a failed write
  lockstep::Environment environment;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  environment.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
  environment.err_is_terminal = ::isatty(STDERR_FILENO) != 0;
  environment.terminal_width = TerminalWidth();
  SignalThread signals;
  return lockstep::RunApp({argv + 1, argv + argc}, environment,
                          [&signals](lockstep::Session* session) { signals.Route(session); });
}
