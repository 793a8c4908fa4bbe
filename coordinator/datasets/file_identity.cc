#include "coordinator/datasets/file_identity.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lockstep {
namespace {

int64_t Nanos(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

std::string FileIdentity::ToKey() const {
  return absl::StrCat(device, ":", inode, ":", bytes, ":", modified_nanos, ":", changed_nanos);
}

bool FileIdentity::Settled(int64_t now_nanos) const {
  constexpr int64_t kGranularity = 20'000'000;  // kernels stamp files with a clock of 1 to 10 ms
  return std::max(modified_nanos, changed_nanos) + kGranularity < now_nanos;
}

FileIdentity IdentityOf(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, Nanos(info.st_mtim), Nanos(info.st_ctim)};
}

absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return IdentityOf(info);
  const int error = errno;
  const std::string message = absl::StrCat(path, ": ", std::strerror(error), " (on the coordinator's host)");
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES) return absl::PermissionDeniedError(message);
  return absl::InvalidArgumentError(message);
}

}  // namespace lockstep
