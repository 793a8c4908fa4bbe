#include "coordinator/datasets/shard_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/paths/path_fence.h"

namespace lockstep {

absl::StatusOr<ShardReader::Range> ShardReader::RangeOf(int64_t bytes, int64_t shard, int64_t shards) {
  if (shards < 1 || shard < 0 || shard >= shards || bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard: expected 0 <= shard < shards, got shard ", shard, " of ", shards));
  }
  const int64_t size = bytes / shards + (bytes % shards != 0);
  const auto at = [&](int64_t index) {
    int64_t offset = 0;
    return __builtin_mul_overflow(size, index, &offset) ? bytes : std::min(offset, bytes);
  };
  return Range{at(shard), at(shard + 1)};
}

ShardReader::ShardReader(std::string path, int fd, const FileIdentity& expected, Range range)
    : path_(std::move(path)), fd_(fd), expected_(expected), at_(range.begin), end_(range.end) {}

ShardReader::~ShardReader() { ::close(fd_); }

absl::StatusOr<std::unique_ptr<ShardReader>> ShardReader::Open(const std::string& path,
                                                               const FileIdentity& expected, Range range) {
  const int fd = ReadFence().Open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    const absl::Status status = IdentifyFile(path).status();
    return status.ok() ? absl::PermissionDeniedError(absl::StrCat(path, ": ", std::strerror(error))) : status;
  }
  auto reader = std::unique_ptr<ShardReader>(new ShardReader(path, fd, expected, range));
  RETURN_IF_ERROR(reader->CheckUnchanged());
  return reader;
}

absl::Status ShardReader::CheckUnchanged() const {
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && IdentityOf(info) == expected_) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, ": has changed since it was registered (", expected_.bytes,
                                          " bytes then, ", static_cast<int64_t>(info.st_size),
                                          " now); register it again and use the new version"));
}

absl::StatusOr<bool> ShardReader::Next(std::string* data, int64_t* offset) {
  data->clear();
  *offset = at_;
  if (at_ >= end_) return false;
  const size_t want = static_cast<size_t>(std::min(kChunkBytes, end_ - at_));
  data->resize(want);
  size_t have = 0;
  while (have < want) {
    const ssize_t got = ::pread(fd_, data->data() + have, want - have, at_ + static_cast<int64_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(absl::StrCat(path_, ": ", std::strerror(errno)));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  RETURN_IF_ERROR(CheckUnchanged());
  if (have < want) {
    return absl::DataLossError(absl::StrCat(path_, ": ends at byte ", at_ + static_cast<int64_t>(have),
                                            ", expected ", expected_.bytes));
  }
  at_ += static_cast<int64_t>(want);
  return true;
}

}  // namespace lockstep
