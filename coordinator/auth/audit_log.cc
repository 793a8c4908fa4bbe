#include "coordinator/auth/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/auth/audit_chain.h"
#include "common/auth/token.h"
#include "common/logging/logging.h"

namespace lockstep {
namespace {

constexpr size_t kLongestText = 1000;  // of one field
constexpr int64_t kLongestLine = 64 << 10;
constexpr int kOpenFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;

absl::Status FileError(const std::string& path, const char* what) {
  return absl::UnavailableError(
      absl::StrCat("cannot ", what, " the audit log ", path, ": ", std::strerror(errno)));
}

void Put(nlohmann::ordered_json* json, const char* key, const std::string& value) {
  if (!value.empty()) (*json)[key] = value.substr(0, kLongestText);
}

std::string Line(const AuditEntry& entry, absl::Time time, int64_t number, int64_t suppressed,
                 const std::string& previous) {
  nlohmann::ordered_json json;
  json["n"] = number;
  json["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
  Put(&json, "who", entry.who);
  Put(&json, "role", entry.role);
  Put(&json, "certificate", entry.certificate);
  Put(&json, "peer", entry.peer);
  Put(&json, "rpc", entry.rpc);
  Put(&json, "job", entry.job);
  Put(&json, "target", entry.target);
  Put(&json, "outcome", entry.outcome);
  Put(&json, "reason", entry.reason);
  if (suppressed > 0) json["denied_and_not_written"] = suppressed;
  json["previous"] = previous;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Tail {
  int64_t size = 0, lines = 0;
  std::string head = kAuditStart;
};

// Where the file's whole lines end, and the last one's number and hash.
absl::StatusOr<Tail> ReadTail(const std::string& path, int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return FileError(path, "read");
  const int64_t begin = std::max<int64_t>(0, info.st_size - 2 * kLongestLine);
  std::string text(static_cast<size_t>(info.st_size - begin), '\0');
  if (pread(fd, text.data(), text.size(), begin) != static_cast<ssize_t>(text.size())) {
    return FileError(path, "read");
  }
  Tail tail;
  const size_t end = text.rfind('\n');
  if (end == std::string::npos) {
    if (begin == 0) return tail;
    return absl::DataLossError(absl::StrCat("audit log ", path, ": its end is not a line; move it away"));
  }
  const size_t before = end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const std::string line = text.substr(before == std::string::npos ? 0 : before + 1,
                                       end - (before == std::string::npos ? 0 : before + 1));
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("n") || !json["n"].is_number_integer()) {
    return absl::DataLossError(
        absl::StrCat("audit log ", path,
                     ": its last line is not one of an audit log; move the file away (and keep "
                     "it) to begin a new one"));
  }
  tail.size = begin + static_cast<int64_t>(end) + 1;
  tail.lines = json["n"].get<int64_t>();
  tail.head = Sha256Hex(line);
  return tail;
}

// The end of the newest file that was renamed, as that of a file without bytes.
absl::StatusOr<Tail> TailOfOlder(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> older, OlderAuditFiles(path));
  if (older.empty()) return Tail();
  const std::string newest = absl::StrCat(path, ".", older.back());
  const int fd = open(newest.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(newest, "read");
  auto tail = ReadTail(newest, fd);
  close(fd);
  if (tail.ok()) tail->size = 0;
  return tail;
}

// So that a crash leaves the new names.
void SyncFolderOf(const std::string& path) {
  const int fd =
      open(std::filesystem::absolute(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path, Clock* clock,
                                                         int64_t limit) {
  const int fd = open(path.c_str(), kOpenFlags, 0600);
  if (fd < 0) return FileError(path, "open");
  auto tail = ReadTail(path, fd);
  if (tail.ok() && ftruncate(fd, tail->size) != 0) tail = FileError(path, "cut");
  if (tail.ok() && tail->size == 0) tail = TailOfOlder(path);
  if (!tail.ok()) {
    close(fd);
    return tail.status();
  }
  return std::unique_ptr<AuditLog>(new AuditLog(path, fd, tail->size, tail->lines, tail->head, limit, clock));
}

AuditLog::AuditLog(std::string path, int fd, int64_t size, int64_t lines, std::string head, int64_t limit,
                   Clock* clock)
    : path_(std::move(path)),
      limit_(limit),
      clock_(clock),
      fd_(fd),
      size_(size),
      lines_(lines),
      head_(std::move(head)) {
  thread_ = std::thread([this] { Loop(); });
}

AuditLog::~AuditLog() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  close(fd_);
}

void AuditLog::Append(AuditEntry entry, std::function<void()> written) {
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({std::move(entry), clock_->Now(), 0, std::move(written)});
}

void AuditLog::AppendDenied(AuditEntry entry) {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = clock_->Now();
  if (denied_.Take(now) > absl::ZeroDuration()) {
    ++suppressed_;
    return;
  }
  waiting_.push_back({std::move(entry), now, std::exchange(suppressed_, 0), nullptr});
}

absl::Status AuditLog::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

void AuditLog::Loop() {
  for (;;) {
    std::vector<Waiting> batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &AuditLog::HasWorkOrStops));
      if (waiting_.empty()) return;
      batch.swap(waiting_);
    }
    const absl::Status status = Write(batch);
    {
      absl::MutexLock lock(&mutex_);
      if (!status.ok() && status_.ok()) LogError("the audit log cannot be written", {{"error", status}});
      status_ = status;
    }
    for (const Waiting& waiting : batch) {
      if (waiting.written) waiting.written();
    }
  }
}

void AuditLog::BeginFile() {
  const auto older = OlderAuditFiles(path_);
  const std::string renamed = absl::StrCat(path_, ".", !older.ok() || older->empty() ? 1 : older->back() + 1);
  int fd = -1;
  if (older.ok() && rename(path_.c_str(), renamed.c_str()) == 0) {
    fd = open(path_.c_str(), kOpenFlags | O_EXCL, 0600);
    if (fd < 0) rename(renamed.c_str(), path_.c_str());
  }
  if (fd < 0) {
    LogWarning("the audit log is too long, and no new file can be begun; it goes on in the old one",
               {{"error", FileError(path_, "rename")}, {"bytes", size_}});
    return;
  }
  close(std::exchange(fd_, fd));
  size_ = 0;
  SyncFolderOf(path_);
  LogInfo("the audit log goes on in a new file", {{"before", renamed}});
}

absl::Status AuditLog::Write(const std::vector<Waiting>& batch) {
  std::string text, head = head_;
  int64_t lines = lines_;
  for (const Waiting& waiting : batch) {
    const std::string line = Line(waiting.entry, waiting.time, ++lines, waiting.suppressed, head);
    head = Sha256Hex(line);
    absl::StrAppend(&text, line, "\n");
  }
  if (size_ > 0 && size_ + static_cast<int64_t>(text.size()) > limit_) BeginFile();
  const ssize_t written = write(fd_, text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || fdatasync(fd_) != 0) {
    if (written >= 0 && written != static_cast<ssize_t>(text.size())) errno = ENOSPC;
    const absl::Status status = FileError(path_, "write");
    if (ftruncate(fd_, size_) != 0) return FileError(path_, "cut");  // no half line before the next
    return status;
  }
  size_ += static_cast<int64_t>(text.size());
  lines_ = lines;
  head_ = head;
  return absl::OkStatus();
}

}  // namespace lockstep
