#include "coordinator/jobs/artifact_root.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

absl::Status Problem(const std::string& what, const std::string& path) {
  const std::string message = absl::StrCat("artifact root: cannot ", what, " ", path, ": ", strerror(errno),
                                           "; give a folder that this user may write to");
  return errno == EACCES || errno == EPERM || errno == EROFS ? absl::PermissionDeniedError(message)
                                                             : absl::UnavailableError(message);
}

}  // namespace

std::string RandomId() {
  absl::BitGen random;
  return absl::StrFormat("%016x%016x", absl::Uniform<uint64_t>(random), absl::Uniform<uint64_t>(random));
}

absl::StatusOr<std::string> PrepareArtifactRoot(const std::string& root) {
  std::error_code error;
  std::filesystem::create_directories(root + "/jobs", error);
  if (error) {
    errno = error.value();
    return Problem("create", root + "/jobs");
  }
  const std::string path = root + "/.lockstep-root";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Problem("open", path);
  char buffer[128];
  const ssize_t size = read(fd, buffer, sizeof(buffer));
  std::string id(buffer, std::max<ssize_t>(0, size));
  id = std::string(absl::StripAsciiWhitespace(id));
  if (size >= 0 && id.empty()) {
    id = RandomId();
    if (pwrite(fd, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size()) || fsync(fd) != 0) {
      const absl::Status status = Problem("write", path);
      close(fd);
      return status;
    }
  }
  const absl::Status status = size < 0 ? Problem("read", path) : absl::OkStatus();
  close(fd);
  if (!status.ok()) return status;
  return id;
}

}  // namespace lockstep
