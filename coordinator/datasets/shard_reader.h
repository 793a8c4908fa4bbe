// The raw bytes of one shard of a dataset's file, in chunks, for a worker that does not see the file. The
// file is checked against the identity under which its fingerprint was verified, at the start and after each
// read, so that no byte of a changed file passes for the registered content.
//
// Not thread-safe; each instance has one reader.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "coordinator/datasets/file_identity.h"

namespace lockstep {

class ShardReader {
 public:
  static constexpr int64_t kChunkBytes = int64_t{1} << 20;

  struct Range {
    int64_t begin = 0;
    int64_t end = 0;  // exclusive
  };

  // Shard `shard` of `shards` of a file of `bytes` bytes: contiguous, equal but for the last ones (the last
  // may be shorter; with more shards than bytes the rest are empty). INVALID_ARGUMENT: not 0 <= shard <
  // shards.
  static absl::StatusOr<Range> RangeOf(int64_t bytes, int64_t shard, int64_t shards);

  // DATA_LOSS: the file is not `expected` any more. NOT_FOUND, PERMISSION_DENIED: it cannot be opened.
  static absl::StatusOr<std::unique_ptr<ShardReader>> Open(const std::string& path,
                                                           const FileIdentity& expected, Range range);
  ~ShardReader();
  ShardReader(const ShardReader&) = delete;
  ShardReader& operator=(const ShardReader&) = delete;

  // The next at most kChunkBytes bytes and where they lie in the file; false at the end. DATA_LOSS as Open.
  absl::StatusOr<bool> Next(std::string* data, int64_t* offset);

 private:
  ShardReader(std::string path, int fd, const FileIdentity& expected, Range range);
  absl::Status CheckUnchanged() const;

  const std::string path_;
  const int fd_;
  const FileIdentity expected_;
  int64_t at_;
  const int64_t end_;
};

}  // namespace lockstep
