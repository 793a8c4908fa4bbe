#include "coordinator/jobs/crash_text.h"

#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

constexpr int kTailLines = 5;

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : "unknown";
}

std::string Tail(const v1::AssignmentStatus& status) {
  if (status.log_tail().empty()) return "";
  const int first = std::max(0, status.log_tail_size() - kTailLines);
  std::string joined = absl::StrJoin(status.log_tail().begin() + first, status.log_tail().end(), " | ");
  return absl::StrCat("; last log lines: ", joined);
}

}  // namespace

std::string EndText(const std::string& worker, int rank, const v1::AssignmentStatus& status) {
  const std::string who = absl::StrCat("trainer of rank ", rank, " on worker ", worker);
  const std::string message = status.message().empty() ? "" : absl::StrCat(": ", status.message());
  if (status.state() != v1::ASSIGNMENT_STATE_CRASHED) {
    return absl::StrCat(who, " failed", message.empty() ? ": it gave no reason" : message);
  }
  if (status.signal() != 0) {
    return absl::StrCat(who, " was killed by signal ", status.signal(), " (", SignalName(status.signal()),
                        ")", message, Tail(status));
  }
  return absl::StrCat(who, " exited with code ", status.exit_code(), message, Tail(status));
}

std::string MissingText(const std::vector<Member>& members) {
  std::vector<std::string> missing;
  for (size_t rank = 0; rank < members.size(); ++rank) {
    const Member& member = members[rank];
    if (member.state == v1::ASSIGNMENT_STATE_RUNNING) continue;
    missing.push_back(
        absl::StrCat("rank ", rank, " on worker ", member.worker,
                     member.state == v1::ASSIGNMENT_STATE_UNSPECIFIED ? " did not report" : " made no step"));
  }
  return missing.empty() ? "not every rank ran" : absl::StrJoin(missing, ", ");
}

}  // namespace lockstep
