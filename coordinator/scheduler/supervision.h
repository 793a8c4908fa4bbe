// What becomes of a job whose generation may have broken: a pure function of what is known of its members. It
// is asked after every round of events and looks at levels alone, so that no order of reports matters.
//
//   1. After a restart of the coordinator, wait until each member is heard of, or the grace is over.
//   2. Gone are: members whose process or worker ended, those that stayed silent too long, and, once a member
//      reports a lost peer, those whose worker's stream is closed as well.
//   3. Nobody gone, nobody left behind in an earlier generation, no lost peer unexplained for too long: go
//   on.
//   4. Only newcomers gone, and the others were not told of them yet: go on without them.
//   5. Nobody left that holds the state: queue again, from the newest whole checkpoint.
//   6. Otherwise those that are left go on as the next generation.
//   7. In place of 5 and 6: fail, after too many failures without a new step.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

struct SupervisedMember {
  bool ended = false;        // its part is over, as ordered or because all is done
  bool gone = false;         // its process or its worker ended otherwise
  bool heard = false;        // of this process since the coordinator's start
  bool current = false;      // it has the order of this generation, as far as we know
  bool interrupted = false;  // it reports a lost peer
  bool connected = false;    // its worker's stream is open
  bool holds_state = false;
  bool overdue = false;   // it should have made a step by now
  bool newcomer = false;  // since this generation
};

struct SupervisedJob {
  std::vector<SupervisedMember> members;  // by rank
  bool adopting = false;                  // the coordinator restarted, and not all members have reported yet
  bool waiting = false;                   // known to be broken: those that are left wait for devices
  bool grace_over = false;                // of the adoption
  bool patience_over = false;             // a lost peer was reported some time ago and nothing explains it
  bool stepped = false;                   // somebody made a step since the job was started last
  bool growing = false;                   // the members before still work in their own generation
  bool told = true;                       // ... but were told of this one
  int failures = 0;                       // in a row, without a new step
  int most_failures = 1;
};

enum class SupervisionAction {
  kGoOn,
  kDropNewcomers,  // the generation before goes on as if this one had never been ordered
  kReform,         // the members that are left go on, as the next generation
  kRestart,        // no state is left
  kGiveUp,
};

struct SupervisionDecision {
  SupervisionAction action = SupervisionAction::kGoOn;
  std::vector<int> lost;    // ranks that are gone
  bool is_failure = false;  // counts against the retries: not what a coordinator's restart alone brings
};

SupervisionDecision Supervise(const SupervisedJob& job);

}  // namespace lockstep
