#include "worker/collective/forked_ranks.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr int kMaxWorld = 16;
constexpr size_t kTextBytes = 8192;

double MonotonicSeconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What each thread waits for, as proc(5) tells it of `syscall` and `wchan`. Not its stack: a signal's handler
// does not run where ThreadSanitizer defers it.
void PrintThreads(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid, "/task");
  DIR* threads = opendir(folder.c_str());
  if (threads == nullptr) return;
  while (const dirent* entry = readdir(threads)) {
    if (entry->d_name[0] == '.') continue;
    std::string line = absl::StrCat("  thread ", entry->d_name, ":");
    for (const char* file : {"syscall", "wchan"}) {
      char text[256] = {};
      const int fd = open(absl::StrCat(folder, "/", entry->d_name, "/", file).c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      const ssize_t got = read(fd, text, sizeof(text) - 1);
      close(fd);
      if (got > 0) absl::StrAppend(&line, " ", file, " ", absl::StripAsciiWhitespace(text));
    }
    dprintf(STDERR_FILENO, "%s\n", line.c_str());
  }
  closedir(threads);
}

}  // namespace

struct ForkedRanks::Shared {
  std::atomic<int> counters[kCounters];
  struct Rendezvous {
    std::atomic<int> published;
    char blob[kMaxWorld][kTextBytes];
    size_t blob_size[kMaxWorld];
    absl::StatusOr<std::vector<std::string>> Exchange(int rank, int world, const std::string& mine);
  };
  Rendezvous first, again;
  int code[kMaxWorld];
  char message[kMaxWorld][kTextBytes];
  double ended_at[kMaxWorld];
};

ForkedRanks::Shared* ForkedRanks::shared_ = nullptr;

absl::StatusOr<std::vector<std::string>> ForkedRanks::Shared::Rendezvous::Exchange(int rank, int world,
                                                                                   const std::string& mine) {
  if (mine.size() > kTextBytes) return absl::ResourceExhaustedError("blob too long for the test's page");
  std::memcpy(blob[rank], mine.data(), mine.size());
  blob_size[rank] = mine.size();
  ++published;
  while (published < world) sched_yield();
  std::vector<std::string> all;
  for (int i = 0; i < world; ++i) all.emplace_back(blob[i], blob_size[i]);
  return all;
}

absl::StatusOr<std::vector<std::string>> ForkedRanks::ExchangeAgain(int rank, int world,
                                                                    const std::string& mine) {
  return shared_->again.Exchange(rank, world, mine);
}

ForkedRanks::ForkedRanks(int world, const Body& body, absl::Duration patience) : patience_(patience) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  shared_ = new (memory) Shared();
  Shared* shared = shared_;
  for (int rank = 0; rank < world; ++rank) {
    const pid_t child = fork();
    if (child != 0) {
      pids_.push_back(child);
      continue;
    }
    const absl::Status status = body(rank, [shared, rank, world](const std::string& mine) {
      return shared->first.Exchange(rank, world, mine);
    });
    shared->ended_at[rank] = MonotonicSeconds();
    shared->code[rank] = static_cast<int>(status.code());
    std::strncpy(shared->message[rank], std::string(status.message()).c_str(), kTextBytes - 1);
    _exit(0);
  }
}

ForkedRanks::~ForkedRanks() {
  for (const pid_t pid : pids_) {
    if (pid <= 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
  shared_ = nullptr;
}

absl::Status ForkedRanks::Wait(int rank) {
  if (shared_ == nullptr || pids_[rank] <= 0) return absl::InternalError("no such process");
  int status = 0;
  const double end = MonotonicSeconds() + absl::ToDoubleSeconds(patience_);
  while (waitpid(pids_[rank], &status, WNOHANG) == 0) {
    if (MonotonicSeconds() > end) return GiveUp(rank);
    usleep(500);
  }
  pids_[rank] = 0;
  if (WIFSIGNALED(status)) return absl::UnknownError(absl::StrCat("signal ", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return absl::UnknownError(absl::StrCat("exit ", WEXITSTATUS(status)));
  return absl::Status(static_cast<absl::StatusCode>(shared_->code[rank]), shared_->message[rank]);
}

absl::Status ForkedRanks::GiveUp(int rank) {
  for (size_t other = 0; other < pids_.size(); ++other) {
    if (pids_[other] <= 0) continue;
    dprintf(STDERR_FILENO, "rank %zu hangs:\n", other);
    PrintThreads(pids_[other]);
  }
  for (pid_t& pid : pids_) {
    if (pid <= 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    pid = 0;
  }
  return absl::DeadlineExceededError(absl::StrCat("rank ", rank, " did not end within ",
                                                  absl::FormatDuration(patience_),
                                                  "; what those that hang wait for is on stderr"));
}

absl::Status ForkedRanks::WaitAll() {
  absl::Status first;
  for (size_t rank = 0; rank < pids_.size(); ++rank) {
    const absl::Status status = Wait(static_cast<int>(rank));
    if (first.ok()) first = Annotate(status, absl::StrCat("rank ", rank));
  }
  return first;
}

double ForkedRanks::EndedAt(int rank) const { return shared_->ended_at[rank]; }
void ForkedRanks::Add(int counter, int value) { shared_->counters[counter] += value; }
int ForkedRanks::Get(int counter) { return shared_->counters[counter]; }
void ForkedRanks::AwaitAtLeast(int counter, int value) {
  while (shared_->counters[counter] < value) sched_yield();
}

}  // namespace lockstep
