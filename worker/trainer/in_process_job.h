// For tests: runs the trainers of one job as threads of this process, or as processes, over real channels and
// a real collective, with the test in the place of agent and coordinator. Each rank is a TrainerLoop with its
// own mailbox.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lockstep/v1/datasets.pb.h"
#include "lockstep/v1/trainer.pb.h"
#include "worker/control/channel.h"

namespace lockstep {

class InProcessJob {
 public:
  struct Options {
    v1::JobSpec spec;  // complete
    v1::Dataset dataset;
    std::string directory;
    std::string restore_from;
    bool weights_only = false;
    v1::NumericProfile required_profile;  // unset: none
    bool on_gpu = false;                  // the first one of this process
    std::string program;                  // a trainer's, for each rank to be a process; empty: threads
    std::map<int, std::string> stand_in;  // by trainer: its LOCKSTEP_STAND_IN
    // Of the processes, beside this one's: NAME=value, where {trainer} is its number.
    std::vector<std::string> environment;
  };
  explicit InProcessJob(Options options);
  ~InProcessJob();

  // Called for each message of each trainer: the messages of one trainer in their order, on a thread of its
  // own.
  std::function<void(int trainer, const v1::FromTrainer& message)> on_message;

  // Starts generation 1 with `world` trainers, or, later, the next generation with all trainers that are left
  // as survivors and new ones up to `world`. `abandon`: in the middle of a step, as after a failure.
  void StartGeneration(int world, bool abandon = false);
  void Stop(v1::Stop::Mode mode);
  // `trainer` is to go at the boundary at which the next generation, which is to be started, begins.
  void Leave(int trainer);
  // SIGKILL. REQUIRES: trainers are processes, and this one has begun
  void Kill(int trainer);
  // Flips a bit of the weights of `trainer`, before its next step.
  void Corrupt(int trainer);
  // Waits until `dead` trainers have died so far and those that are left are INTERRUPTED. False: the job
  // ended.
  bool AwaitBreak(int dead);
  // Waits until each trainer reported its end; the last status of each, in order of their start.
  std::vector<v1::AssignmentStatus> Wait();
  // Metric points of rank 0, by step.
  std::map<int64_t, v1::MetricPoint> points();

 private:
  struct Trainer;
  void Serve(int index);
  void Launch(Trainer& trainer, int index);
  // Of ranks. REQUIRES: mutex_ is held
  void Order(int first, int last);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Trainer>> trainers_;
  std::vector<int> members_;  // of trainers_, by rank
  int64_t generation_ = 0;
  int world_ = 0, survivors_ = 0;
  bool abandon_ = false, told_ = true;  // all have their orders
  std::map<int64_t, std::map<int, std::string>> addresses_;
  std::map<int64_t, v1::MetricPoint> points_;
};

}  // namespace lockstep
