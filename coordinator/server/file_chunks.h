// Reads a range of a file in chunks of at most 1 MiB; a file that is shorter than it should be is an error,
// not a short stream.
//
// Not thread-safe; each instance has one reader.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace lockstep {

class FileChunks {
 public:
  // Bytes [begin, end) of `path`. NOT_FOUND, PERMISSION_DENIED: the file. DATA_LOSS: not `expected_size`
  // bytes long
  // (-1: any size).
  static absl::StatusOr<std::unique_ptr<FileChunks>> Open(const std::string& path, int64_t begin, int64_t end,
                                                          int64_t expected_size);
  ~FileChunks();
  FileChunks(const FileChunks&) = delete;
  FileChunks& operator=(const FileChunks&) = delete;

  bool done() const { return position_ >= end_; }
  int64_t position() const { return position_; }

  // The next chunk, at position(), which then moves on. REQUIRES: !done().
  absl::Status Read(std::string* data);

 private:
  FileChunks(std::string path, int fd, int64_t begin, int64_t end)
      : path_(std::move(path)), fd_(fd), position_(begin), end_(end) {}

  const std::string path_;
  const int fd_;
  int64_t position_;
  const int64_t end_;
};

}  // namespace lockstep
