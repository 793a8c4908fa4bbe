#include "coordinator/scheduler/supervision.h"

#include <algorithm>

namespace lockstep {
namespace {

bool Any(const std::vector<SupervisedMember>& members, bool SupervisedMember::*flag) {
  return std::any_of(members.begin(), members.end(),
                     [flag](const SupervisedMember& member) { return !member.ended && member.*flag; });
}

}  // namespace

SupervisionDecision Supervise(const SupervisedJob& job) {
  SupervisionDecision decision;
  if (job.adopting && !job.grace_over) {
    const bool waits = std::any_of(
        job.members.begin(), job.members.end(),
        [](const SupervisedMember& member) { return !member.ended && !member.gone && !member.heard; });
    if (waits) return decision;
  }

  const bool interrupted = Any(job.members, &SupervisedMember::interrupted);
  bool behind = false, only_newcomers = true, left = false, state_left = false;
  for (size_t rank = 0; rank < job.members.size(); ++rank) {
    const SupervisedMember& member = job.members[rank];
    if (member.ended) continue;
    const bool silent = job.adopting && !member.heard;
    const bool cut_off = interrupted && !member.interrupted && !member.connected;
    if (member.gone || silent || member.overdue || cut_off) {
      decision.lost.push_back(static_cast<int>(rank));
      only_newcomers &= member.newcomer;
      continue;
    }
    left = true;
    state_left |= member.holds_state;
    behind |= job.adopting && !member.current;
  }
  decision.is_failure = !decision.lost.empty() || (interrupted && job.patience_over && !job.waiting);
  const bool broken = decision.is_failure || behind || (job.adopting && interrupted);
  if (!broken) return decision;

  if (job.growing && !job.told && !decision.lost.empty() && only_newcomers && !interrupted) {
    decision.action = SupervisionAction::kDropNewcomers;
  } else if (decision.is_failure && job.failures >= job.most_failures) {
    decision.action = SupervisionAction::kGiveUp;
  } else if (!left || (job.stepped && !state_left)) {
    decision.action = SupervisionAction::kRestart;
  } else {
    decision.action = SupervisionAction::kReform;
  }
  return decision;
}

}  // namespace lockstep
