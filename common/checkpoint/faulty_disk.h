// For tests: a disk that fails, or a process that dies, at a chosen system call.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/durable_file.h"

namespace lockstep {

// Counts calls; fails or dies at the chosen one.
class FaultyDisk : public DiskHook {
 public:
  FaultyDisk() { SetDiskHookForTest(this); }
  ~FaultyDisk() override { SetDiskHookForTest(nullptr); }
  int Before(absl::string_view call, const std::string& path) override {
    calls.push_back(absl::StrCat(call, " ", std::filesystem::path(path).filename().string()));
    const int at = static_cast<int>(calls.size()) - 1;
    if (at == kill_at) kill(getpid(), SIGKILL);
    return at == fail_at ? error : 0;
  }
  size_t WriteLimit(size_t bytes) override { return std::min(bytes, write_limit); }

  int fail_at = -1;
  int kill_at = -1;
  int error = EIO;
  size_t write_limit = SIZE_MAX;
  std::vector<std::string> calls;
};

}  // namespace lockstep
