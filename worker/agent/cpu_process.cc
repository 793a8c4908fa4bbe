#include "worker/agent/cpu_process.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace lockstep {

std::optional<CpuProcess> ReadCpuProcess(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  // The name, in parentheses, may hold anything; what follows the last one is numbers.
  if (!std::getline(file, line) || line.rfind(')') == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  double user = 0, system = 0, pages = 0;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  fields >> user >> system;
  for (int field = 16; field < 24; ++field) fields >> skipped;
  fields >> pages;
  if (!fields) return std::nullopt;
  return CpuProcess{pages * static_cast<double>(::sysconf(_SC_PAGESIZE)),
                    (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

}  // namespace lockstep
