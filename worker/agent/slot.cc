#include "worker/agent/slot.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/proto_time.h"
#include "common/logging/logging.h"
#include "common/paths/path_fence.h"
#include "worker/agent/ledger.h"
#include "worker/agent/worker_metrics.h"

namespace lockstep {
namespace {

constexpr size_t kTailLines = 20;

// What usually sends a signal that no line of log explains.
std::string LikelyCause(const ExitStatus& exit) {
  if (exit.signal == SIGKILL) return "; if nobody sent it, the system was out of memory (see dmesg)";
  if (exit.signal == SIGILL) return "; the program was built for another processor";
  if (exit.signal == SIGBUS) return "; a file that it had mapped was truncated, or a disk failed";
  return "";
}

}  // namespace

Slot::Slot(const Options& options, Loop* loop, SlotHost* host, WorkerMetrics* metrics, DeviceMetrics* devices)
    : options_(options),
      loop_(loop),
      host_(host),
      metrics_(metrics),
      devices_(devices),
      device_(options.device.empty() ? absl::StrCat("cpu:", options.trainer.slot) : options.device),
      restart_backoff_(absl::Milliseconds(100), absl::Seconds(5)) {
  account_.ledger = DeviceLedger(SteadyNow());
  account_.uuid = options.uuid;
  account_.nvml = options.nvml;
  account_.kind = options.trainer.gpu.empty() ? "cpu" : "gpu";
  PublishAccount();
}

Slot::~Slot() {
  if (cancel_fetch_) cancel_fetch_();
}

absl::Status Slot::Start() { return StartTrainer(); }

// ---- The trainer ----

absl::Status Slot::StartTrainer() {
  TrainerProcess::Events events;
  events.message = [this](v1::FromTrainer message) { OnMessage(std::move(message)); };
  events.lines = [this](std::vector<TrainerLine> lines) { OnLines(std::move(lines)); };
  events.exited = [this](ExitStatus exit) { OnExit(exit); };
  warm_ = ending_ = aborted_ = has_pulse_ = false;
  hung_.clear();
  tail_.clear();
  times_.Clear();
  average_.Reset();
  trainer_time_.Clear();
  account_.step_seconds.Clear();
  account_.reduce_seconds.Clear();
  auto started = TrainerProcess::Start(options_.trainer, loop_, std::move(events));
  RETURN_IF_ERROR(started.status());
  trainer_ = *std::move(started);
  trainer_started_ = absl::Now();
  account_.pid = trainer_->pid();
  PublishAccount();
  const int64_t number = ++trainer_number_;
  loop_->PostAfter(options_.ready_timeout, [this, number] {
    if (number != trainer_number_ || trainer_ == nullptr || warm_) return;
    LogWarning("trainer is not ready in time, killing it",
               {{"device", device_}, {"waited", absl::FormatDuration(options_.ready_timeout)}});
    trainer_->Kill();
  });
  return absl::OkStatus();
}

void Slot::StartTrainerAfter(absl::Duration delay) {
  const auto start = [this] {
    metrics_->trainer_restarts.Increment();
    if (absl::Status status = StartTrainer(); !status.ok()) {
      LogError("cannot start a trainer", {{"device", device_}, {"error", status}});
      StartTrainerAfter(restart_backoff_.Next());
    }
  };
  if (delay <= absl::ZeroDuration()) return start();
  loop_->PostAfter(delay, start);
}

void Slot::OnMessage(v1::FromTrainer message) {
  v1::ConnectRequest relayed;
  switch (message.message_case()) {
    case v1::FromTrainer::kReady:
      return OnReady(message.ready());
    case v1::FromTrainer::kStatus:
      return OnStatus(std::move(*message.mutable_status()));
    case v1::FromTrainer::kPulse:
      return OnPulse(message.pulse());
    case v1::FromTrainer::kTimes:
      return OnTimes(message.times());
    case v1::FromTrainer::kProgress:
      *relayed.mutable_progress() = std::move(*message.mutable_progress());
      return host_->Relay(std::move(relayed));
    case v1::FromTrainer::kCheckpoint:
      *relayed.mutable_checkpoint() = std::move(*message.mutable_checkpoint());
      return host_->Relay(std::move(relayed));
    case v1::FromTrainer::kRendezvous:
      rendezvous_ = message.rendezvous();
      *relayed.mutable_rendezvous() = std::move(*message.mutable_rendezvous());
      return host_->Relay(std::move(relayed));
    case v1::FromTrainer::MESSAGE_NOT_SET:
      LogWarning("trainer sent a message of an unknown kind", {{"device", device_}});
  }
}

void Slot::OnReady(const v1::TrainerReady& ready) {
  warm_ = true;
  profile_ = ready.profile();
  account_.kind = profile_->device_kind();
  account_.model = profile_->device_model();
  PublishAccount();
  if (std::exchange(broken_, false)) LogInfo("slot works again", {{"device", device_}});
  host_->SlotChanged();
  Give();
}

void Slot::OnStatus(v1::AssignmentStatus status) {
  if (!order_.has_value() || status.job_id() != order_->job_id()) {
    LogWarning("trainer reports on a job that it was not given",
               {{"device", device_}, {"job", status.job_id()}, {"generation", status.generation()}});
    return;
  }
  acknowledged_ = true;
  status.set_device(device_);
  const bool final = IsFinal(status.state());
  OnTime(status.time());
  status.clear_time();  // else a repeated report would say something new each time
  if (final) EndAccount(/*lost=*/status.state() == v1::ASSIGNMENT_STATE_CRASHED, &status);
  const int64_t generation = status.generation();
  const std::string message = absl::StrCat("the trainer ended with generation ", generation);
  host_->Report(std::move(status));
  if (!final) return;

  // The trainer exits by itself now; a generation that it never took up ends with it.
  if (generation < order_->generation()) ReportOrder(v1::ASSIGNMENT_STATE_STOPPED, message);
  DropOrder();
  ending_ = true;
  loop_->PostAfter(options_.exit_grace, [this, number = trainer_number_] {
    if (number != trainer_number_ || trainer_ == nullptr) return;
    LogWarning("trainer does not exit after its job, killing it",
               {{"device", device_}, {"pid", trainer_->pid()}});
    trainer_->Kill();
  });
  host_->SlotChanged();
}

void Slot::OnTimes(const v1::TrainerTimes& times) {
  // They are totals since the trainer began; counters never go back.
  const auto add = [](prometheus::Counter& counter, double now, double before) {
    if (now > before) counter.Increment(now - before);
  };
  add(metrics_->compute_seconds, times.compute(), times_.compute());
  add(metrics_->communication_seconds, times.communication(), times_.communication());
  add(metrics_->input_seconds, times.input(), times_.input());
  add(metrics_->checkpoint_seconds, times.checkpoint(), times_.checkpoint());
  add(metrics_->steps, static_cast<double>(times.steps()), static_cast<double>(times_.steps()));
  add(metrics_->samples, static_cast<double>(times.samples()), static_cast<double>(times_.samples()));
  times_ = times;
  if (order_.has_value()) average_.Add(times, *order_, absl::Now());
}

void Slot::OnTime(const v1::DeviceTime& time) {
  metrics_->tokens.Increment(
      static_cast<double>(std::max<int64_t>(0, time.tokens() - trainer_time_.tokens())));
  trainer_time_ = time;
  account_.ledger.Report(time);
}

// What a GPU has taken so far, for the spell under way.
void Slot::ReadMeter() {
  if (options_.nvml == nullptr || !order_.has_value()) return;
  const std::optional<double> energy = options_.nvml->Read(options_.uuid).energy;
  if (energy.has_value()) account_.ledger.Meter(*energy);
}

void Slot::EndAccount(bool lost, v1::AssignmentStatus* status) {
  ReadMeter();
  account_.ledger.End(lost, SteadyNow());
  const auto& ended = account_.ledger.ended();
  if (!ended.has_value() || ended->job_id() != status->job_id()) return;
  *status->mutable_time() = *ended;
  if (ended->joules() > 0) {
    LogInfo("energy that the job took here",
            {{"job", ended->job_id()}, {"device", device_}, {"joules", ended->joules()}});
  }
}

void Slot::PublishAccount() {
  account_.job = order_.has_value() ? order_->job_id() : "";
  account_.rank = order_.has_value() ? order_->rank() : 0;
  devices_->Update(device_, account_);
}

void Slot::OnPulse(const v1::TrainerPulse& pulse) {
  silent_looks_ = 0;
  OnTime(pulse.time());
  account_.step_seconds = pulse.step_seconds();
  account_.reduce_seconds = pulse.reduce_seconds();
  PublishAccount();
  if (!std::exchange(has_pulse_, true)) Watch(trainer_number_);
  if (!pulse.has_working() || !pulse.has_limit()) return;
  const absl::Duration working = FromProto(pulse.working()), limit = FromProto(pulse.limit());
  if (working > limit) {
    KillHung(absl::StrCat("its part of a step took ",
                          absl::FormatDuration(absl::Trunc(working, absl::Milliseconds(1))), ", more than ",
                          absl::FormatDuration(limit), " (workers.step_limit)"));
  }
}

void Slot::Watch(int64_t trainer_number) {
  loop_->PostAfter(options_.watch_interval, [this, trainer_number] {
    if (trainer_number != trainer_number_ || trainer_ == nullptr || !order_.has_value() || ending_) return;
    const absl::Duration silence = FromProto(order_->spec().workers().silence());
    if (silence > absl::ZeroDuration() && ++silent_looks_ * options_.watch_interval >= silence) {
      return KillHung(absl::StrCat("it gave no sign of life for ", absl::FormatDuration(silence),
                                   " (workers.silence): stopped, or starved by other processes"));
    }
    Watch(trainer_number);
  });
}

void Slot::KillHung(const std::string& why) {
  if (!hung_.empty() || trainer_ == nullptr) return;
  hung_ = absl::StrCat("; its agent killed it: ", why);
  LogWarning("killing a trainer that hangs", {{"device", device_}, {"pid", trainer_->pid()}, {"why", why}});
  trainer_->Kill();
}

void Slot::OnLines(std::vector<TrainerLine> lines) {
  // The log stays open until the exit: a trainer's last lines come after its final status.
  for (TrainerLine& line : lines) {
    tail_.push_back(line.text);
    if (tail_.size() > kTailLines) tail_.pop_front();
    if (log_.open()) {
      metrics_->log_lines.Increment();
      host_->RelayLog(log_.job_id(), log_.Add(std::move(line)));
    } else {
      LogDebug("idle trainer says", {{"device", device_}, {"line", line.text}});
    }
  }
  log_.Flush();
}

void Slot::OnExit(ExitStatus exit) {
  const pid_t pid = trainer_->pid();
  if (order_.has_value() && stage_ == Stage::kGiven && !acknowledged_ && !aborted_ &&
      !std::exchange(given_again_, true)) {
    stage_ = Stage::kWaiting;
    account_.ledger.TakenBack(SteadyNow());
  }
  const bool was_given = order_.has_value() && stage_ == Stage::kGiven;
  if (was_given && aborted_) {
    ReportOrder(v1::ASSIGNMENT_STATE_STOPPED, "killed: the coordinator aborted this generation");
    DropOrder();
  } else if (was_given) {
    const std::string name = exit.signal != 0 ? SignalName(exit.signal) : "none";
    metrics_->TrainerCrashed(name);
    LogError("trainer crashed", {{"job", order_->job_id()},
                                 {"generation", order_->generation()},
                                 {"rank", order_->rank()},
                                 {"device", device_},
                                 {"pid", pid},
                                 {"end", exit.ToString()},
                                 {"last", tail_.empty() ? "" : tail_.back()}});
    ReportOrder(v1::ASSIGNMENT_STATE_CRASHED,
                absl::StrCat("trainer process ", pid, " on ", device_,
                             exit.ok() ? " exited without saying how its job ended"
                                       : absl::StrCat(" died of ", exit.ToString(),
                                                      hung_.empty() ? LikelyCause(exit) : hung_)),
                exit);
    DropOrder();
  }
  log_.Close();
  trainer_.reset();
  account_.pid = 0;
  PublishAccount();
  ++trainer_number_;
  if (was_given || ending_) {
    StartTrainerAfter(absl::ZeroDuration());
  } else {
    OnIdleDeath(exit);
  }
  host_->SlotChanged();
}

void Slot::OnIdleDeath(ExitStatus exit) {
  LogWarning("idle trainer died",
             {{"device", device_}, {"end", exit.ToString()}, {"last", tail_.empty() ? "" : tail_.back()}});
  const bool lived = absl::Now() - trainer_started_ >= options_.quick_death;
  if (lived) restart_backoff_.Reset();
  // Whatever ends those that were ready, trainers can live here.
  quick_deaths_ = lived || warm_ ? 0 : quick_deaths_ + 1;
  if (quick_deaths_ < options_.quick_deaths) return StartTrainerAfter(restart_backoff_.Next());

  broken_ = true;
  broken_reason_ = absl::StrCat("slot ", device_, " is broken: ", quick_deaths_,
                                " trainers died while idle, the last of ", exit.ToString(), LikelyCause(exit),
                                "; its last lines: ", tail_.empty() ? "(none)" : absl::StrJoin(tail_, " | "));
  LogError(broken_reason_, {{"next_try_in", absl::FormatDuration(options_.broken_pause)}});
  if (order_.has_value()) {
    ReportOrder(v1::ASSIGNMENT_STATE_FAILED, broken_reason_);
    DropOrder();
  }
  StartTrainerAfter(options_.broken_pause);
}

// ---- Orders ----

void Slot::Assign(v1::Assignment assignment) {
  const auto ignore = [&](const char* why) {
    LogInfo("ignoring an assignment", {{"why", why},
                                       {"job", assignment.job_id()},
                                       {"generation", assignment.generation()},
                                       {"device", device_}});
  };
  if (order_.has_value() && order_->job_id() == assignment.job_id()) {
    if (assignment.generation() < order_->generation()) return ignore("a later generation is at work");
    if (assignment.generation() == order_->generation()) return ignore("it is at work already");
    return ChangeOver(std::move(assignment));
  }
  if (assignment.job_id() == ended_job_ && assignment.generation() <= ended_generation_) {
    return ignore("it has ended already");
  }
  const bool taken = order_.has_value();
  if (!taken && !broken_) return Begin(std::move(assignment));

  v1::AssignmentStatus refusal;
  refusal.set_job_id(assignment.job_id());
  refusal.set_generation(assignment.generation());
  refusal.set_rank(assignment.rank());
  refusal.set_device(device_);
  refusal.set_state(v1::ASSIGNMENT_STATE_FAILED);
  refusal.set_unfit(!taken);
  refusal.set_message(taken ? absl::StrCat(device_, " works for job ", order_->job_id(), " generation ",
                                           order_->generation(), "; it was assigned twice")
                            : broken_reason_);
  LogWarning("refusing an assignment", {{"job", refusal.job_id()}, {"why", refusal.message()}});
  host_->Report(std::move(refusal));
}

void Slot::Begin(v1::Assignment assignment) {
  order_ = std::move(assignment);
  stage_ = Stage::kFetching;
  aborted_ = given_again_ = false;
  account_.ledger.Begin(*order_, absl::Now(), SteadyNow());
  ReadMeter();
  PublishAccount();
  ReportOrder(v1::ASSIGNMENT_STATE_STARTING, "");
  const int64_t token = ++fetch_token_;
  cancel_fetch_ = host_->Localize(order_->dataset(), [this, token](absl::StatusOr<v1::Dataset> dataset) {
    OnLocalized(token, std::move(dataset));
  });
  host_->SlotChanged();
}

// A higher generation of the job at work: the trainer changes over at its next boundary.
void Slot::ChangeOver(v1::Assignment assignment) {
  rendezvous_.reset();
  if (stage_ != Stage::kGiven) {  // the device goes on with the job: nothing has ended
    if (stage_ == Stage::kWaiting) *assignment.mutable_dataset() = order_->dataset();
    order_ = std::move(assignment);
    ReportOrder(v1::ASSIGNMENT_STATE_STARTING, "");
    return;
  }
  *assignment.mutable_dataset() = order_->dataset();  // with the paths as they are here
  order_ = std::move(assignment);
  log_.Open(options_.log_directory, *order_);
  PublishAccount();
  ReportOrder(v1::ASSIGNMENT_STATE_STARTING, "");
  v1::ToTrainer message;
  *message.mutable_assignment() = *order_;
  if (absl::Status status = trainer_->Send(message); !status.ok()) {
    LogWarning("trainer does not take its next generation, killing it",
               {{"device", device_}, {"error", status}});
    trainer_->Kill();
  }
}

void Slot::OnLocalized(int64_t token, absl::StatusOr<v1::Dataset> dataset) {
  if (token != fetch_token_ || !order_.has_value() || stage_ != Stage::kFetching) return;
  cancel_fetch_ = nullptr;
  account_.ledger.Fetched(SteadyNow());
  absl::Status ready = dataset.status();
  if (const std::string& weights = order_->spec().from().safetensors(); ready.ok() && !weights.empty()) {
    ready = ReadFence().Check("from.safetensors", weights);
  }
  if (!ready.ok()) {
    ReportOrder(v1::ASSIGNMENT_STATE_FAILED, std::string(ready.message()));
    DropOrder();
    return host_->SlotChanged();
  }
  *order_->mutable_dataset() = *std::move(dataset);
  stage_ = Stage::kWaiting;
  Give();
}

void Slot::Give() {
  if (!order_.has_value() || stage_ != Stage::kWaiting || trainer_ == nullptr || !warm_ || ending_) return;
  v1::ToTrainer message;
  *message.mutable_assignment() = *order_;
  if (absl::Status status = trainer_->Send(message); !status.ok()) {
    // Its end is on the way; the next trainer gets the order.
    LogWarning("idle trainer does not listen, killing it", {{"device", device_}, {"error", status}});
    warm_ = false;
    return trainer_->Kill();
  }
  stage_ = Stage::kGiven;
  account_.ledger.Given(SteadyNow());
  acknowledged_ = false;
  quick_deaths_ = 0;
  restart_backoff_.Reset();
  tail_.clear();
  log_.Open(options_.log_directory, *order_);
  LogInfo("assignment begins", {{"job", order_->job_id()},
                                {"generation", order_->generation()},
                                {"rank", order_->rank()},
                                {"world", order_->world()},
                                {"device", device_},
                                {"pid", trainer_->pid()}});
}

bool Slot::Concerns(const std::string& order, const std::string& job_id, int64_t generation) const {
  if (order_.has_value() && order_->job_id() == job_id && generation >= order_->generation()) return true;
  LogInfo("ignoring a stale order", {{"order", order},
                                     {"job", job_id},
                                     {"generation", generation},
                                     {"device", device_},
                                     {"at_work", order_.has_value() ? order_->job_id() : "nothing"}});
  return false;
}

void Slot::Deliver(const v1::RendezvousReady& rendezvous) {
  if (!Concerns("rendezvous", rendezvous.job_id(), rendezvous.generation())) return;
  rendezvous_.reset();
  if (stage_ != Stage::kGiven) return;
  v1::ToTrainer message;
  *message.mutable_rendezvous() = rendezvous;
  if (absl::Status status = trainer_->Send(message); !status.ok()) {
    LogWarning("trainer does not take a message, killing it", {{"device", device_}, {"error", status}});
    trainer_->Kill();
  }
}

void Slot::Stop(const v1::Stop& stop) {
  if (!Concerns("stop", stop.job_id(), stop.generation())) return;
  if (stage_ != Stage::kGiven) {
    ReportOrder(v1::ASSIGNMENT_STATE_STOPPED, "stopped before the trainer had the order");
    DropOrder();
    return host_->SlotChanged();
  }
  if (stop.mode() == v1::Stop::MODE_ABORT) {
    aborted_ = true;  // STOPPED is reported when it is dead and the device free
    return trainer_->Kill();
  }
  v1::ToTrainer message;
  *message.mutable_stop() = stop;
  if (absl::Status status = trainer_->Send(message); !status.ok()) {
    LogWarning("trainer does not take a Stop, killing it", {{"device", device_}, {"error", status}});
    trainer_->Kill();
  }
}

// Reports the order's state; an end also for each earlier generation that the same trainer had not left yet.
void Slot::ReportOrder(v1::AssignmentState state, const std::string& message, ExitStatus exit) {
  v1::AssignmentStatus status;
  status.set_job_id(order_->job_id());
  status.set_generation(order_->generation());
  status.set_rank(order_->rank());
  status.set_device(device_);
  status.set_state(state);
  status.set_message(message);
  status.set_unfit(state == v1::ASSIGNMENT_STATE_FAILED && broken_);
  if (state == v1::ASSIGNMENT_STATE_CRASHED) {
    status.set_signal(exit.signal);
    status.set_exit_code(exit.code);
    for (const std::string& line : tail_) status.add_log_tail(line);
  }
  if (IsFinal(state)) {
    EndAccount(/*lost=*/state == v1::ASSIGNMENT_STATE_CRASHED || aborted_, &status);
    for (const v1::AssignmentStatus& running : host_->Running(order_->job_id(), device_)) {
      if (running.generation() >= order_->generation()) {
        status.set_step(running.step());
        continue;
      }
      v1::AssignmentStatus earlier = status;
      earlier.set_generation(running.generation());
      earlier.set_rank(running.rank());
      earlier.set_step(running.step());
      host_->Report(std::move(earlier));
    }
  }
  host_->Report(std::move(status));
}

void Slot::DropOrder() {
  ended_job_ = order_->job_id();
  ended_generation_ = order_->generation();
  order_.reset();
  rendezvous_.reset();
  PublishAccount();
  ++fetch_token_;
  if (cancel_fetch_) std::exchange(cancel_fetch_, nullptr)();
}

void Slot::SignalTrainer(int signal) {
  if (trainer_) ::kill(trainer_->pid(), signal);
}

void Slot::CorruptWeights() {
  v1::ToTrainer message;
  message.mutable_corrupt();
  if (trainer_) trainer_->Send(message).IgnoreError();  // one that is gone is what chaos is about
}

}  // namespace lockstep
