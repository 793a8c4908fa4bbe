// The disk as checkpoints use it: every system call is checked, a short write is continued, an error says
// which call failed on which path. Only what these functions do between two calls of the hook can be lost in
// a crash. Not thread-safe per object; distinct objects may be used from distinct threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/status.h"

namespace lockstep {

// A test's hand on the disk. Called before each system call that changes it.
class DiskHook {
 public:
  virtual ~DiskHook() = default;
  // A nonzero result is taken as the call's errno, and the call is not made.
  virtual int Before(absl::string_view call, const std::string& path) = 0;
  // How many of `bytes` one write(2) may take.
  virtual size_t WriteLimit(size_t bytes) { return bytes; }
};
// Returns the previous one; nullptr: none. Not while another thread writes.
DiskHook* SetDiskHookForTest(DiskHook* hook);

// ENOSPC, EDQUOT and EFBIG are RESOURCE_EXHAUSTED.
absl::Status DiskError(int error, absl::string_view call, const std::string& path);

// A new file (an old one is emptied), hashed as it is written.
class FileWriter {
 public:
  static absl::StatusOr<FileWriter> Create(const std::string& path, bool with_sha256);
  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();  // closes; a file that was not finished stays as it is, partly written

  absl::Status Append(const void* data, size_t bytes);
  // fsync and close.
  absl::Status Finish();

  int64_t bytes() const;
  uint64_t xxh3() const;
  std::string sha256() const;  // hex; REQUIRES: with_sha256 and Finish() succeeded

 private:
  struct State;
  explicit FileWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Read-only descriptor of a regular file (never a FIFO, a device or a link), closed on destruction.
class RegularFile {
 public:
  static absl::StatusOr<RegularFile> Open(const std::string& path);
  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&&) = delete;
  ~RegularFile();
  int fd() const { return fd_; }
  int64_t size() const { return size_; }

 private:
  RegularFile(int fd, int64_t size) : fd_(fd), size_(size) {}
  int fd_;
  int64_t size_;
};

// The whole content; RESOURCE_EXHAUSTED above `limit`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, int64_t limit);

// XXH3-64 of the content; `bytes` receives how many were read.
absl::StatusOr<uint64_t> HashFile(const std::string& path, int64_t* bytes);

uint64_t Xxh3(absl::string_view bytes);

// With missing parents, each entry made durable.
absl::Status MakeDirectories(const std::string& path);
absl::Status MakeDirectory(const std::string& path);
absl::Status SyncDirectory(const std::string& path);
// Without following links. OK if it is not there.
absl::Status RemoveTree(const std::string& path);
absl::Status Rename(const std::string& from, const std::string& to);

// Puts folder `from` in the place of `to`, in one atomic step where the file system can exchange two names;
// what `to` held is removed afterwards. On an error `to` is as it was.
absl::Status ReplaceDirectory(const std::string& from, const std::string& to);

// The folder that holds `path`, "." if none is named.
std::string ParentDirectory(const std::string& path);

}  // namespace lockstep
