// Decides when a checkpoint is due; copies the state and writes it on a thread of its own, while the next
// step's gradient is computed. Rank 0's business; the other ranks have none. A write that fails is reported
// and costs nothing else: training goes on and the previous checkpoint stays.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/trainer/program.h"
#include "worker/trainer/reporter.h"

namespace lockstep {

class Checkpointer {
 public:
  // Writes below `directory`. `reporter` must outlive this object.
  Checkpointer(const v1::CheckpointSpec& spec, std::string directory, Reporter* reporter);
  ~Checkpointer();  // waits for the write under way

  // After each step. What it takes is written once it is confirmed. every_steps: at each multiple, waiting
  // for the previous write if need be; every: when that much time has passed; neither: at natural boundaries,
  // at most once per kDefaultPause.
  void MaybeWrite(Program& program);
  // What was taken is the state that all ranks had; or it is not, and is forgotten.
  void Confirm();
  void Discard();
  // Before the state may change again. Rarely waits: a copy takes less time than a gradient.
  void AwaitCopy();
  // Writes now, without a confirmation, and waits, unless this step is on disk already. The status says
  // whether it is.
  absl::Status WriteNow(Program& program);

 private:
  static constexpr absl::Duration kDefaultPause = absl::Seconds(5);

  enum class Verdict { kOpen, kConfirmed, kDiscarded };

  void Enqueue(Program& program, Verdict verdict);
  void Decide(Verdict verdict);
  void WaitIdle();
  void Run();
  absl::Status Write();

  const v1::CheckpointSpec spec_;
  const std::string directory_;
  Reporter* const reporter_;
  absl::Time last_;
  int64_t last_written_step_ = -1;

  std::mutex mutex_;
  std::condition_variable changed_;
  Snapshot snapshot_;  // the trainer's thread's while nothing is pending or written, else the writer's
  bool pending_ = false;
  bool copying_ = false;              // from Enqueue on: the snapshot reads the program's state
  Verdict verdict_ = Verdict::kOpen;  // on what is pending or being written
  bool writing_ = false;
  bool stopping_ = false;
  absl::Status last_status_;
  std::thread writer_;
};

}  // namespace lockstep
