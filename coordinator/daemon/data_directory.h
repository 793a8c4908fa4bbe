// The coordinator's data folder: held by one coordinator at a time.
#pragma once

#include <memory>
#include <string>

#include "common/base/status.h"

namespace lockstep {

// Held for as long as the object lives, also by the kernel: a killed coordinator leaves no stale lock.
class DataDirectoryLock {
 public:
  // Makes the folder if needed. FAILED_PRECONDITION names the process that holds it.
  static absl::StatusOr<std::unique_ptr<DataDirectoryLock>> Acquire(const std::string& data_dir);
  ~DataDirectoryLock();
  DataDirectoryLock(const DataDirectoryLock&) = delete;
  DataDirectoryLock& operator=(const DataDirectoryLock&) = delete;

 private:
  explicit DataDirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace lockstep
