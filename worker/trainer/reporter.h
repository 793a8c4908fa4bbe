// What a trainer tells its agent, which passes it on to the coordinator. Sends are small and never wait for
// the network. Thread-safe (the checkpoint writer reports too).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lockstep/v1/trainer.pb.h"
#include "lockstep/v1/workers.pb.h"
#include "worker/control/channel.h"
#include "worker/trainer/device_clock.h"
#include "worker/trainer/program.h"

namespace lockstep {

class Reporter {
 public:
  // What the pointers show to must outlive this object.
  Reporter(Channel* channel, const DeviceClock* clock, const v1::Assignment& assignment);

  void SetAssignment(const v1::Assignment& assignment);
  void Status(v1::AssignmentState state, int64_t step, const std::string& message = "",
              const v1::TrainResult* result = nullptr, const v1::ModelSummary* model = nullptr);
  // This process's copy of the state differs from its peers'.
  void Corrupt(int64_t step, const std::string& message);
  void Rendezvous(const std::string& address);
  void Checkpoint(const CheckpointInfo& info, const std::vector<std::string>& removed, absl::Duration took);
  void CheckpointProblem(int64_t step, const std::string& problem);

  // After each step, from the loop. Sends progress and points (rank 0) and times (all) when kFlushInterval
  // has passed, or now if `flush`. `arriving`: by rank, of this generation; see Collective::arriving.
  void Step(Program& program, const std::vector<double>& arriving, bool flush);

 private:
  static constexpr std::chrono::milliseconds kFlushInterval{100};

  Channel* const channel_;
  const DeviceClock* const clock_;
  std::string job_id_;
  std::string device_;
  int64_t generation_ = 0;
  int rank_ = 0;
  bool first_step_done_ = false;
  absl::Time first_step_at_;
  std::chrono::steady_clock::time_point generation_start_, last_flush_;
  int64_t samples_at_start_ = 0;
  int64_t step_at_start_ = 0;
};

}  // namespace lockstep
