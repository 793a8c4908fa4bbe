#include "worker/trainer/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

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

absl::Status CheckFits(const MemoryNeed& need, int64_t available) {
  const int64_t wanted = need.activations + need.state - need.resident;
  if (wanted <= available) return absl::OkStatus();
  const bool activations = need.activations > need.state;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "this worker has %.0f MB of memory left, but the job still takes %.0f MB: activations of %d rows %.0f "
      "MB, weights, gradients, optimizer and checkpoint %.0f MB; %s",
      static_cast<double>(available) / kMegabyte, static_cast<double>(wanted) / kMegabyte, need.rows,
      static_cast<double>(need.activations) / kMegabyte, static_cast<double>(need.state) / kMegabyte,
      activations ? "use a smaller train.batch_size, a larger train.accumulation or more workers"
                  : "use a smaller model, an optimizer with less state (sgd) or a worker with more memory"));
}

}  // namespace lockstep
