#include "worker/agent/ledger.h"

#include <google/protobuf/util/message_differencer.h>

namespace lockstep {

bool IsFinal(v1::AssignmentState state) {
  return state == v1::ASSIGNMENT_STATE_SUCCEEDED || state == v1::ASSIGNMENT_STATE_FAILED ||
         state == v1::ASSIGNMENT_STATE_CRASHED || state == v1::ASSIGNMENT_STATE_STOPPED;
}

bool AssignmentLedger::Record(const v1::AssignmentStatus& status) {
  auto [at, created] = entries_.try_emplace({status.job_id(), status.generation(), status.device()});
  Entry& entry = at->second;
  if (!created && IsFinal(entry.now.state())) return false;
  if (!created && google::protobuf::util::MessageDifferencer::Equals(entry.now, status)) return false;
  entry.now = status;
  if (!IsFinal(status.state())) entry.before_end = status;
  if (status.state() == v1::ASSIGNMENT_STATE_RUNNING) {
    // The trainer has changed over: the generations before this one ended with that.
    std::erase_if(entries_, [&](const auto& other) {
      const v1::AssignmentStatus& old = other.second.now;
      return old.job_id() == status.job_id() && old.device() == status.device() &&
             old.generation() < status.generation() && !IsFinal(old.state());
    });
  }
  return true;
}

bool AssignmentLedger::Forget(const v1::ForgetAssignment& forget) {
  auto at = entries_.find({forget.job_id(), forget.generation(), forget.device()});
  if (at == entries_.end() || !IsFinal(at->second.now.state())) return false;
  entries_.erase(at);
  return true;
}

std::vector<v1::AssignmentStatus> AssignmentLedger::ForRegister(
    const std::function<bool(const v1::AssignmentStatus&)>& queued) const {
  std::vector<v1::AssignmentStatus> statuses;
  for (const auto& [key, entry] : entries_) {
    const bool later = IsFinal(entry.now.state()) && !entry.before_end.job_id().empty() && queued(entry.now);
    statuses.push_back(later ? entry.before_end : entry.now);
  }
  return statuses;
}

std::vector<v1::AssignmentStatus> AssignmentLedger::Running() const {
  std::vector<v1::AssignmentStatus> statuses;
  for (const auto& [key, entry] : entries_) {
    if (!IsFinal(entry.now.state())) statuses.push_back(entry.now);
  }
  return statuses;
}

std::vector<v1::AssignmentStatus> AssignmentLedger::Running(const std::string& job_id,
                                                            const std::string& device) const {
  std::vector<v1::AssignmentStatus> statuses = Running();
  std::erase_if(statuses, [&](const v1::AssignmentStatus& status) {
    return status.job_id() != job_id || status.device() != device;
  });
  return statuses;
}

}  // namespace lockstep
