#include "coordinator/daemon/ready.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lockstep {

absl::Status ReportReady(int fd, const std::string& grpc, const std::string& metrics,
                         const std::string& http) {
  if (fd < 0) return absl::OkStatus();
  const std::string line = absl::StrCat("grpc=", grpc, " metrics=", metrics, " http=", http, "\n");
  const ssize_t written = write(fd, line.data(), line.size());
  const int error = errno;
  close(fd);
  if (written == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--ready-fd ", fd, ": cannot write to it: ", written < 0 ? std::strerror(error) : "it is full",
      "; it must be open for writing when the coordinator starts"));
}

}  // namespace lockstep
