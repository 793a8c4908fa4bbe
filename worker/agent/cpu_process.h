// What the system says of a process that uses a processor as its device.
#pragma once

#include <sys/types.h>

#include <optional>

namespace lockstep {

struct CpuProcess {
  double resident_bytes = 0;
  double cpu_seconds = 0;  // user and system
};

// nullopt: there is no such process (any more).
std::optional<CpuProcess> ReadCpuProcess(pid_t pid);

}  // namespace lockstep
