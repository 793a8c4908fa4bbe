#include "coordinator/daemon/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"

namespace lockstep {
namespace {

absl::Status Failed(const std::string& what, const std::string& path, const char* flag, int error = errno) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error), "; check ", flag));
}

absl::Status MakeFolder(const std::string& path, const char* flag) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return Failed("make the folder", path, flag, error.value());
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd) {
  std::string text(256, '\0');
  const ssize_t n = pread(fd, text.data(), text.size(), 0);
  if (n < 0) return absl::UnavailableError(std::strerror(errno));
  text.resize(static_cast<size_t>(n));
  absl::StripAsciiWhitespace(&text);
  return text;
}

bool WriteAll(int fd, const std::string& text) {
  return ftruncate(fd, 0) == 0 &&
         pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectoryLock>> DataDirectoryLock::Acquire(const std::string& data_dir) {
  RETURN_IF_ERROR(MakeFolder(data_dir, "--data-dir"));
  const std::string path = absl::StrCat(data_dir, "/lock");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path, "--data-dir");
  std::unique_ptr<DataDirectoryLock> lock(new DataDirectoryLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Failed("lock", path, "--data-dir");
    const absl::StatusOr<std::string> holder = ReadAll(fd);
    return absl::FailedPreconditionError(
        absl::StrCat("another coordinator",
                     holder.ok() && !holder->empty() ? absl::StrCat(" (process ", *holder, ")") : "",
                     " is using ", data_dir, "; stop it, or give this one its own folder with --data-dir"));
  }
  if (!WriteAll(fd, absl::StrCat(getpid(), "\n"))) return Failed("write", path, "--data-dir");
  return lock;
}

DataDirectoryLock::~DataDirectoryLock() { close(fd_); }

}  // namespace lockstep
