#include "worker/trainer/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/match.h"

namespace lockstep {
namespace {

// A number alone in a file; -1 where there is none ("max").
int64_t NumberIn(const std::string& path) {
  std::ifstream file(path);
  int64_t number = -1;
  file >> number;
  return file ? number : -1;
}

int64_t OfTheMachine() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  for (int64_t kilobytes = 0; file >> name >> kilobytes;) {
    if (name == "MemAvailable:") return kilobytes * 1024;
    std::getline(file, unit);
  }
  return std::numeric_limits<int64_t>::max();
}

int64_t OfTheControlGroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, "0::")) continue;
    const std::string folder = "/sys/fs/cgroup" + line.substr(3);
    const int64_t limit = NumberIn(folder + "/memory.max"), used = NumberIn(folder + "/memory.current");
    if (limit >= 0 && used >= 0) return std::max<int64_t>(0, limit - used);
  }
  return std::numeric_limits<int64_t>::max();
}

}  // namespace

int64_t AvailableMemory() { return std::min(OfTheMachine(), OfTheControlGroup()); }

}  // namespace lockstep
