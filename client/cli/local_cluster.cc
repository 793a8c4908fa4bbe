#include "client/cli/local_cluster.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace lockstep {
namespace {

constexpr int kReadyFd = 3;

// RAII for a descriptor that lives within one function.
class ScopedFd {
 public:
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  ScopedFd(const ScopedFd&) = delete;
  ScopedFd& operator=(const ScopedFd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

std::string LastLines(const std::string& path, size_t count) {
  std::ifstream file(path);
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back("  " + line);
    if (lines.size() > count) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) absl::StrAppend(&text, "\n", line);
  return text;
}

}  // namespace

absl::StatusOr<std::string> FindBinary(const std::string& program, const std::string& override_folder) {
  std::string folder = override_folder;
  if (folder.empty()) {
    std::error_code error;
    folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
  }
  const std::string path = absl::StrCat(folder, "/", program);
  if (::access(path.c_str(), X_OK) == 0) return path;
  return absl::FailedPreconditionError(
      absl::StrCat(program, " was not found in ", folder,
                   ", where `lockstep` looks for it; build it, or set LOCKSTEP_BIN_DIR"));
}

absl::StatusOr<std::string> FindBinaries(const std::string& override_folder) {
  std::string path;
  for (const char* program : {"lockstep-coordinator", "lockstep-worker"}) {
    ASSIGN_OR_RETURN(path, FindBinary(program, override_folder));
  }
  return std::filesystem::path(path).parent_path().string();
}

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(const Options& options) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster(options));
  std::string folder = options.temporary_folder + "/lockstep-run-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot make a temporary folder in ", options.temporary_folder));
  }
  cluster->folder_ = folder;
  cluster->wake_fd_ = ::eventfd(0, EFD_CLOEXEC);
  RETURN_IF_ERROR(cluster->StartCoordinator());
  return cluster;
}

absl::Status LocalCluster::StartCoordinator() {
  ASSIGN_OR_RETURN(Member coordinator,
                   Spawn("coordinator", "lockstep-coordinator",
                         {"--listen", "127.0.0.1:0", "--http-listen", "", "--quarantine-after", "0"}));
  members_.push_back(std::make_unique<Member>(std::move(coordinator)));
  ASSIGN_OR_RETURN(const std::string line, AwaitReadyLine(members_.back().get()));
  for (absl::string_view word : absl::StrSplit(line, ' ')) {
    if (absl::ConsumePrefix(&word, "grpc=")) address_ = std::string(word);
  }
  if (address_.empty()) {
    return absl::InternalError(
        absl::StrCat("lockstep-coordinator said '", line, "'; expected grpc=HOST:PORT"));
  }
  return absl::OkStatus();
}

absl::StatusOr<LocalCluster::Member> LocalCluster::Spawn(const std::string& name, const std::string& program,
                                                         std::vector<std::string> arguments) {
  Member member;
  member.name = absl::StrCat("lockstep-", name);
  member.log = absl::StrCat(folder_, "/", name, ".log");
  const ScopedFd log(::open(member.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const ScopedFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int ready[2];
  if (log.get() < 0 || null.get() < 0 || ::pipe2(ready, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", program));
  }
  const ScopedFd write_end(ready[1]);
  member.ready_fd = ready[0];
  Child::Options options;
  options.argv = {absl::StrCat(options_.binaries, "/", program),
                  "--data-dir",
                  absl::StrCat(folder_, "/", name),
                  "--metrics-listen",
                  "127.0.0.1:0",
                  "--ready-fd",
                  absl::StrCat(kReadyFd)};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.fds = {{null.get(), 0}, {log.get(), 1}, {log.get(), 2}, {write_end.get(), kReadyFd}};
  options.parent_death_signal = SIGKILL;
  auto child = Child::Spawn(options);
  if (!child.ok()) {
    ::close(member.ready_fd);
    return child.status();
  }
  member.child = *std::move(child);
  return member;
}

absl::StatusOr<std::string> LocalCluster::AwaitReadyLine(Member* member) {
  const absl::Time give_up = absl::Now() + options_.start_timeout;
  const Cancellation::Hook wake(options_.cancellation, [this] { ::eventfd_write(wake_fd_, 1); });
  std::string line;
  for (;;) {
    const absl::Duration left = give_up - absl::Now();
    pollfd entries[] = {{member->ready_fd, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    const int ready = left <= absl::ZeroDuration()
                          ? 0
                          : ::poll(entries, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      return absl::DeadlineExceededError(absl::StrCat(member->name, " did not start within ",
                                                      absl::FormatDuration(options_.start_timeout),
                                                      "; its log ends:", LastLines(member->log, 10)));
    }
    if (entries[1].revents != 0) return absl::CancelledError("interrupted");
    char buffer[256];
    const ssize_t got = ::read(member->ready_fd, buffer, sizeof(buffer));
    if (got <= 0) return Died(*member, member->child->Wait().ToString());
    line.append(buffer, static_cast<size_t>(got));
    const size_t end = line.find('\n');
    if (end != std::string::npos) return line.substr(0, end);
  }
}

absl::Status LocalCluster::Died(const Member& member, const std::string& how) const {
  return absl::InternalError(
      absl::StrCat(member.name, " died with ", how, "; its log ends:", LastLines(member.log, 20)));
}

absl::Status LocalCluster::AddWorkers(int count, int threads) {
  for (int i = 1; i <= count; ++i) {
    const std::string name = absl::StrCat("worker-", i);
    ASSIGN_OR_RETURN(Member worker, Spawn(name, "lockstep-worker",
                                          {"--coordinator", address_, "--name", name, "--cpu-slots", "1",
                                           "--threads-per-slot", absl::StrCat(threads)}));
    members_.push_back(std::make_unique<Member>(std::move(worker)));
  }
  watcher_ = std::thread([this] { Watch(); });
  return absl::OkStatus();
}

void LocalCluster::Watch() {
  std::vector<pollfd> entries = {{wake_fd_, POLLIN, 0}};
  for (const auto& member : members_) entries.push_back({member->child->pidfd(), POLLIN, 0});
  while (::poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
  }
  if (entries[0].revents != 0) return;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (entries[i + 1].revents == 0) continue;
    {
      const std::lock_guard lock(mutex_);
      failure_ = Died(*members_[i], members_[i]->child->Wait().ToString());
    }
    if (options_.on_death) options_.on_death();
    return;
  }
}

absl::Status LocalCluster::Failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void LocalCluster::StopMembers(size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) members_[i]->child->Signal(SIGTERM).IgnoreError();
  const absl::Time give_up = absl::Now() + options_.stop_timeout;
  for (size_t i = begin; i < end; ++i) {
    members_[i]->child->TryWait(std::max(give_up - absl::Now(), absl::ZeroDuration()));
    members_[i]->child.reset();  // kills what still runs
    ::close(members_[i]->ready_fd);
  }
}

void LocalCluster::Stop() {
  if (folder_.empty()) return;
  if (watcher_.joinable()) {
    ::eventfd_write(wake_fd_, 1);
    watcher_.join();
  }
  if (!members_.empty()) {
    StopMembers(1, members_.size());
    StopMembers(0, 1);
    members_.clear();
  }
  if (wake_fd_ >= 0) ::close(wake_fd_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  folder_.clear();
}

LocalCluster::~LocalCluster() { Stop(); }

}  // namespace lockstep
