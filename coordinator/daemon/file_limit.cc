#include "coordinator/daemon/file_limit.h"

#include <sys/resource.h>

#include "common/logging/logging.h"

namespace lockstep {

void RaiseFileLimit(int wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= static_cast<rlim_t>(wanted)) return;
  LogWarning(
      "the limit of open files is lower than --max-connections needs; raise it (ulimit -n, LimitNOFILE=)",
      {{"limit", static_cast<int64_t>(limit.rlim_cur)}, {"wanted", wanted}});
}

}  // namespace lockstep
