#include "coordinator/server/file_chunks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/net/limits.h"
#include "common/paths/path_fence.h"

namespace lockstep {
namespace {

absl::Status FileError(int error, const std::string& path) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnavailableError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileChunks>> FileChunks::Open(const std::string& path, int64_t begin,
                                                             int64_t end, int64_t expected_size) {
  const int fd = ReadFence().Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return FileError(errno, path);
  std::unique_ptr<FileChunks> chunks(new FileChunks(path, fd, begin, end));
  struct stat info;
  if (fstat(fd, &info) != 0) return FileError(errno, path);
  if (expected_size >= 0 && info.st_size != expected_size) {
    return absl::DataLossError(absl::StrCat(path, ": is ", info.st_size, " bytes long, but had ",
                                            expected_size, " when it was recorded; it has changed since"));
  }
  return chunks;
}

FileChunks::~FileChunks() { close(fd_); }

absl::Status FileChunks::Read(std::string* data) {
  data->resize(static_cast<size_t>(std::min<int64_t>(kMaxChunkBytes, end_ - position_)));
  size_t filled = 0;
  while (filled < data->size()) {
    const ssize_t n =
        pread(fd_, data->data() + filled, data->size() - filled, position_ + static_cast<int64_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileError(errno, path_);
    if (n == 0) {
      return absl::DataLossError(absl::StrCat(path_, ": ends at byte ",
                                              position_ + static_cast<int64_t>(filled), ", expected ", end_,
                                              "; it was cut while it was read"));
    }
    filled += static_cast<size_t>(n);
  }
  position_ += static_cast<int64_t>(filled);
  return absl::OkStatus();
}

}  // namespace lockstep
