// Copies a rank's share of the state and writes it on a thread of its own, while the next step's gradient is
// computed. Rank 0 decides when a checkpoint is due, writes the weights as well, and commits once the other
// ranks' parts are there (common/checkpoint/checkpoint_parts.h). A write that fails is reported and costs
// nothing else: training goes on and the previous checkpoint stays.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/checkpoint/checkpoint_parts.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/trainer/program.h"
#include "worker/trainer/reporter.h"

namespace lockstep {

class Checkpointer {
 public:
  // Writes below `directory`. `reporter` must outlive this object.
  Checkpointer(const v1::CheckpointSpec& spec, std::string directory, Reporter* reporter);
  // Waits for the write under way, and some seconds for the parts of others.
  ~Checkpointer();

  // A generation has formed. What was taken in an earlier one goes on.
  void Join(int64_t generation, int rank, int world);

  // Has the writer's thread make room for this rank's first checkpoint, so that its copy takes no longer than
  // those of later ones. Does nothing after the first call, or once a checkpoint was taken.
  void MakeRoom(Program& program);

  // Rank 0, before a step's reduction: are all to take a checkpoint after this step? every_steps: at each
  // multiple, waiting for the previous write if need be; every: when that much time has passed; neither: at
  // natural boundaries, at most once per kDefaultPause.
  bool Due(const Program& program);
  // All ranks, after that step. It is written once it is confirmed.
  void Take(Program& program);
  // What was taken is the state that all ranks had; or it is not, and is forgotten.
  void Confirm();
  void Discard();
  // The generation broke: parts that are not there may never come. From any thread.
  void GiveUpOnOthers();
  // Before the state may change again. Rarely waits: a copy takes less time than a gradient.
  void AwaitCopy();
  // Writes all of it by itself, now, without a confirmation, and waits, unless this step is on disk already.
  // The status says whether it is.
  absl::Status WriteNow(Program& program);

 private:
  static constexpr absl::Duration kDefaultPause = absl::Seconds(5);
  static constexpr absl::Duration kPartsPatience = absl::Seconds(60), kLastPatience = absl::Seconds(5);
  static constexpr absl::Duration kLook = absl::Milliseconds(5);  // between looks for the parts

  enum class Verdict { kOpen, kConfirmed, kDiscarded };
  enum class Role { kPart, kLead, kAlone };

  void Enqueue(Program& program, Role role, Verdict verdict);
  void Describe(Program& program, Role role);
  void Decide(Verdict verdict);
  void WaitIdle();
  void Run();
  absl::Status Write();
  absl::Status WritePart();
  absl::StatusOr<CheckpointInfo> WriteAndCommit();
  bool GivesUp(absl::Time since);

  const v1::CheckpointSpec spec_;
  const std::string directory_;
  Reporter* const reporter_;
  int64_t generation_ = 0;
  int rank_ = 0, world_ = 1;
  absl::Time last_;
  int64_t last_written_step_ = -1;
  bool has_room_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  // The trainer's thread's while no room is made and nothing is pending or written, else the writer's.
  Snapshot snapshot_;
  Role role_ = Role::kAlone;
  CheckpointPlace place_;
  bool making_room_ = false;
  bool pending_ = false;
  bool copying_ = false;              // from Enqueue on: the snapshot reads the program's state
  Verdict verdict_ = Verdict::kOpen;  // on what is pending or being written
  bool writing_ = false;
  bool gave_up_ = false;
  bool stopping_ = false;
  absl::Status last_status_;
  std::thread writer_;
};

}  // namespace lockstep
