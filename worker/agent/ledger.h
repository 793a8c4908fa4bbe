// What became of every assignment, until the coordinator says that it has the end on disk (ForgetAssignment).
// Reports are level-triggered: each one is repeated when a stream opens, so none can be lost. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "lockstep/v1/workers.pb.h"

namespace lockstep {

// SUCCEEDED, FAILED, CRASHED, STOPPED.
bool IsFinal(v1::AssignmentState state);

class AssignmentLedger {
 public:
  // False: it says nothing new, or comes after the assignment's end.
  bool Record(const v1::AssignmentStatus& status);
  // False: not known, or not ended yet.
  bool Forget(const v1::ForgetAssignment& forget);
  // For Register. A final status for which `queued` holds is still on its way behind progress and logs that
  // must arrive before it, so what it was before is reported.
  std::vector<v1::AssignmentStatus> ForRegister(
      const std::function<bool(const v1::AssignmentStatus&)>& queued) const;
  // Those that have not ended; of all jobs, or of `job_id` on `device`.
  std::vector<v1::AssignmentStatus> Running() const;
  std::vector<v1::AssignmentStatus> Running(const std::string& job_id, const std::string& device) const;

 private:
  struct Entry {
    v1::AssignmentStatus now;
    v1::AssignmentStatus before_end;
  };
  std::map<std::tuple<std::string, int64_t, std::string>, Entry> entries_;  // job, generation, device
};

}  // namespace lockstep
