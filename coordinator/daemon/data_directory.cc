#include "coordinator/daemon/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

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

std::string RandomId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppendFormat(&id, "%08x", random());
  return id;
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

absl::StatusOr<std::string> OpenArtifactRoot(const std::string& artifact_root) {
  constexpr char kFlag[] = "--artifact-root";
  RETURN_IF_ERROR(MakeFolder(absl::StrCat(artifact_root, "/jobs"), kFlag));
  const std::string path = absl::StrCat(artifact_root, "/.lockstep-root");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Failed("open", path, kFlag);
  absl::StatusOr<std::string> id = ReadAll(fd);
  absl::Status status = id.status();
  if (id.ok() && id->empty()) {
    id = RandomId();
    const int folder = open(artifact_root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!WriteAll(fd, absl::StrCat(*id, "\n")) || fsync(fd) != 0 || folder < 0 || fsync(folder) != 0) {
      status = Failed("write", path, kFlag);
    }
    if (folder >= 0) close(folder);
  }
  close(fd);
  if (!status.ok()) return status;
  return id;
}

}  // namespace lockstep
