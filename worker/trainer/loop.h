// The trainer's loop: forms a generation, steps until the program is done or the ranks agree to stop or to
// change over, and reports.
//
//   assignment -> prepare -> form -> share -> step ... step -> finish  -> SUCCEEDED
//                             ^                |-- all ranks hold a newer assignment: form that generation
//                             |                |-- ... or are to leave  -> STOPPED (these)
//                             |                |-- pause: checkpoint    -> STOPPED
//                             |                |-- cancel               -> STOPPED
//                             +----------------+
//                             |                |
//                             +- INTERRUPTED <-'-- a peer is lost, in any of these phases
//
// Agreement costs nothing: each rank adds its wishes to the step's reduction, so that all see the same sums
// at the same boundary.
//
// A lost peer costs the step that was under way. The process and its memory stay: the rank reports
// INTERRUPTED and waits for the next generation, however long that takes. There the ranks compare how far
// they came (Program::position), and those that are behind, or new, take the state of one that is furthest.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/collective/collective.h"
#include "worker/trainer/checkpointer.h"
#include "worker/trainer/device_clock.h"
#include "worker/trainer/mailbox.h"
#include "worker/trainer/program.h"
#include "worker/trainer/pulse.h"
#include "worker/trainer/reporter.h"

namespace lockstep {

class TrainerLoop {
 public:
  struct Options {
    std::string host = "127.0.0.1";  // address that peers can reach this trainer at
    v1::NumericProfile profile;
    int threads = 1;  // that compute; the bits do not depend on it
  };

  TrainerLoop(const Options& options, Mailbox* mailbox, Channel* channel, v1::Assignment assignment);

  // Runs the assignment to its end and reports it. The process exits afterwards.
  void Run();

 private:
  enum class Outcome { kDone, kNextGeneration, kPaused, kStopped };

  absl::Status RunProgram();
  absl::Status CheckProfile() const;
  // One generation, from its rendezvous to what ends it.
  absl::StatusOr<Outcome> RunGeneration();
  absl::Status FormGeneration();
  void AwaitCopy();  // before the state changes; the clock is then at checkpoint
  // Collective, and always an error: whose state is not that of the others. `mine` is the hash of this
  // rank's.
  absl::Status NameCorruptReplica(uint64_t mine);
  // The same without asking: `hashes` of `ranks`, not all equal, of which this rank may be none.
  absl::Status NameCorrupt(const std::vector<int>& ranks, const std::vector<uint64_t>& hashes);
  // Collective: that all ranks hold the same state, where no step's reduction will tell.
  absl::Status CheckReplicas();
  // Collective: that these ranks, which every rank names alike, hold the same state.
  absl::Status CompareHolders(const std::vector<int>& holders);
  absl::Status ShareState();
  absl::Status TransferState(int root, const std::vector<int>& receivers, bool keep_mine_until_complete);
  absl::Status TransferOnHost(int root, const std::vector<int>& receivers, bool keep_mine_until_complete);
  absl::Status TransferOnDevice(int root, const std::vector<int>& receivers, bool keep_mine_until_complete);
  absl::StatusOr<Outcome> StepUntilBoundary();
  void LeaveGeneration();
  // After the generation broke because of `cause`. False: there is no next one for this rank.
  bool AwaitNextGeneration(const absl::Status& cause);
  void TakeNextGeneration();
  absl::Status Finish();
  std::string CheckpointDirectory() const { return assignment_.job_directory() + "/checkpoints"; }

  const Options options_;
  Mailbox* const mailbox_;
  DeviceClock clock_;
  Reporter reporter_;
  Pulse pulse_;
  v1::Assignment assignment_;
  std::unique_ptr<Program> program_;
  bool corrupt_ = false;      // this rank's state differs from the others'
  bool holds_state_ = false;  // not yet for a newcomer, until a peer has given it
  std::unique_ptr<Collective> collective_;
  std::unique_ptr<Checkpointer> checkpointer_;  // from the first generation on
  std::vector<double> arriving_;                // by rank, of this generation
};

}  // namespace lockstep
