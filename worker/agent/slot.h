// One device of this node: the trainer process that stands ready for it, and the order that it works on.
//
//   the trainer    (none) --start--> warming --TrainerReady--> warm --final status--> ending --exit--> (none)
//                  warming, warm --exit--> (none), after a pause that grows; five quick deaths: broken for a
//                  while
//
//   the order      (none) --Assign--> fetching --dataset is here--> waiting --trainer is warm--> given --+
//                    ^                    |                            |                                 |
//                    +--------------------+---- Stop, a failed fetch --+-- final status, exit, kill -----+
//
// Every order ends with exactly one final status, whoever ends it: the trainer's own, or CRASHED when the
// process died, STOPPED when it was killed by Stop ABORT, FAILED when it could not be started.
// An order that a trainer took to its grave unread (it died idle, at the same moment) goes to the next one,
// once. All calls on the loop's thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/backoff.h"
#include "worker/agent/device_metrics.h"
#include "worker/agent/job_log.h"
#include "worker/agent/loop.h"
#include "worker/agent/step_average.h"
#include "worker/agent/trainer_process.h"

namespace lockstep {

class WorkerMetrics;

// What a slot needs of the agent. Called on the loop's thread.
class SlotHost {
 public:
  virtual ~SlotHost() = default;
  virtual void Report(v1::AssignmentStatus status) = 0;
  virtual void Relay(v1::ConnectRequest message) = 0;  // progress, rendezvous, checkpoint
  virtual void RelayLog(const std::string& job_id, v1::LogLine line) = 0;
  // The orders of `job_id` on `device` that have not ended, oldest first.
  virtual std::vector<v1::AssignmentStatus> Running(const std::string& job_id, const std::string& device) = 0;
  // Starts to make the dataset local; `done` comes on the loop. The result cancels it.
  virtual std::function<void()> Localize(const v1::Dataset& dataset,
                                         std::function<void(absl::StatusOr<v1::Dataset>)> done) = 0;
  virtual void SlotChanged() = 0;  // warm, broken, busy or free
};

class Slot {
 public:
  struct Options {
    TrainerProcess::Options trainer;
    std::string log_directory;                                // <data-dir>/logs
    std::string device;                                       // "cpu:0", "gpu:1"; empty: cpu:<trainer.slot>
    std::string uuid;                                         // of the device
    std::shared_ptr<const Nvml> nvml;                         // of a GPU
    absl::Duration ready_timeout = absl::Seconds(60);         // start to TrainerReady
    absl::Duration exit_grace = absl::Seconds(5);             // final status to exit
    absl::Duration watch_interval = absl::Milliseconds(250);  // between looks at the trainer's pulse
    absl::Duration quick_death =
        absl::Seconds(10);  // an idle trainer that lived less than this and was never ready
    int quick_deaths = 5;   // so many in a row: broken
    absl::Duration broken_pause = absl::Seconds(30);  // until the next try
  };

  // Pointers must outlive this object.
  Slot(const Options& options, Loop* loop, SlotHost* host, WorkerMetrics* metrics, DeviceMetrics* devices);
  ~Slot();

  // Starts the first trainer. An error: the program cannot be executed at all.
  absl::Status Start();

  // Orders. Stale ones (a lower generation, another job's) are ignored and logged.
  void Assign(v1::Assignment assignment);
  void Deliver(const v1::RendezvousReady& rendezvous);
  void Stop(const v1::Stop& stop);

  // For faults on purpose: a signal to the trainer, or a bit of its weights flipped. Nothing if there is
  // none.
  void SignalTrainer(int signal);
  void CorruptWeights();

  const std::string& device() const { return device_; }
  // Set once a trainer has been warm.
  const std::optional<v1::NumericProfile>& profile() const { return profile_; }
  bool broken() const { return broken_; }
  const std::string& broken_reason() const { return broken_reason_; }
  bool busy() const { return order_.has_value(); }
  bool works_for(const std::string& job_id) const { return busy() && order_->job_id() == job_id; }
  // How long steps take here, each average once.
  std::optional<v1::RankTimes> TakeTimes() { return average_.Take(); }
  // Where the device's time for its job went so far; nullopt: it has none.
  std::optional<v1::DeviceTime> TimeForJob() {
    ReadMeter();
    return account_.ledger.Spell();
  }
  const std::string& uuid() const { return account_.uuid; }
  // Published and not answered yet: to be repeated when a stream opens.
  const std::optional<v1::RendezvousAddress>& unanswered_rendezvous() const { return rendezvous_; }

 private:
  static constexpr absl::Duration kTimesWindow = absl::Seconds(2);
  enum class Stage { kFetching, kWaiting, kGiven };

  absl::Status StartTrainer();
  void StartTrainerAfter(absl::Duration delay);
  void OnMessage(v1::FromTrainer message);
  void OnReady(const v1::TrainerReady& ready);
  void OnStatus(v1::AssignmentStatus status);
  void OnTimes(const v1::TrainerTimes& times);
  void OnPulse(const v1::TrainerPulse& pulse);
  void Watch(int64_t trainer_number);
  void KillHung(const std::string& why);
  void OnLines(std::vector<TrainerLine> lines);
  void OnExit(ExitStatus exit);
  void OnIdleDeath(ExitStatus exit);
  void Begin(v1::Assignment assignment);
  void ChangeOver(v1::Assignment assignment);
  void OnLocalized(int64_t token, absl::StatusOr<v1::Dataset> dataset);
  void Give();
  void ReportOrder(v1::AssignmentState state, const std::string& message, ExitStatus exit = {});
  void DropOrder();
  void OnTime(const v1::DeviceTime& time);
  // Of the device's work for the job; the end's report carries it. `lost`: the trainer did not end by itself.
  void EndAccount(bool lost, v1::AssignmentStatus* status);
  void ReadMeter();
  void PublishAccount();
  bool Concerns(const std::string& order, const std::string& job_id, int64_t generation) const;

  const Options options_;
  Loop* const loop_;
  SlotHost* const host_;
  WorkerMetrics* const metrics_;
  DeviceMetrics* const devices_;
  const std::string device_;

  std::unique_ptr<TrainerProcess> trainer_;
  int64_t trainer_number_ = 0;  // tells timers of an earlier trainer from this one's
  absl::Time trainer_started_;
  bool warm_ = false;
  bool ending_ = false;  // its order has ended; it is about to exit
  std::deque<std::string> tail_;
  v1::TrainerTimes times_;
  StepAverage average_{kTimesWindow};
  DeviceMetrics::Device account_;  // as it is published
  v1::DeviceTime trainer_time_;    // the trainer's last account
  bool has_pulse_ = false;         // this trainer beats since it has its order
  int silent_looks_ = 0;           // counted, not measured: when the whole machine slept, nobody is to blame
  std::string hung_;               // why the agent killed it
  std::optional<v1::NumericProfile> profile_;

  Backoff restart_backoff_;
  int quick_deaths_ = 0;
  bool broken_ = false;
  std::string broken_reason_;

  std::optional<v1::Assignment> order_;
  Stage stage_ = Stage::kFetching;
  int64_t fetch_token_ = 0;
  std::function<void()> cancel_fetch_;
  bool acknowledged_ = false;  // the trainer has said something of the order
  bool given_again_ = false;   // a trainer died before it did
  bool aborted_ = false;       // Stop ABORT: its death is no crash
  std::string ended_job_;      // the last order, to recognise its repetition
  int64_t ended_generation_ = 0;
  std::optional<v1::RendezvousAddress> rendezvous_;
  JobLog log_;
};

}  // namespace lockstep
