#include "worker/agent/agent.h"

#include <deque>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/base/version.h"
#include "common/logging/logging.h"
#include "worker/agent/backoff.h"
#include "worker/agent/coordinator_client.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/device_uuid.h"
#include "worker/agent/faults.h"
#include "worker/agent/fetches.h"
#include "worker/agent/ledger.h"
#include "worker/agent/outbox.h"
#include "worker/agent/worker_metrics.h"

namespace lockstep {
namespace {

// The id that the coordinator wrote into its artifact root, as this node sees it.
std::string ReadRootId(const std::string& root, const std::string& host) {
  const std::string path = absl::StrCat(root, "/.lockstep-root");
  std::ifstream file(path);
  std::string id;
  if (std::getline(file, id); !id.empty()) return id.substr(0, 256);
  LogWarning(
      "this node does not see the coordinator's artifact root; trainers here could not write checkpoints. "
      "Mount the "
      "same storage at the same path, or start the coordinator with an --artifact-root that all nodes share",
      {{"missing", path}});
  return absl::StrCat("unreachable:", host);
}

std::string RandomId() {
  absl::BitGen random;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
}

}  // namespace

struct Agent::Impl final : SlotHost {
  Impl(const Options& agent_options, prometheus::Registry* registry)
      : options(agent_options),
        metrics(registry),
        client(CoordinatorClient::Make(options.coordinator, &loop, options.access)),
        cache({.directory = options.data_dir + "/datasets",
               .on_bytes =
                   [this](int64_t bytes) { metrics.dataset_bytes.Increment(static_cast<double>(bytes)); }},
              [this](const auto& request, const auto& chunk) { return client->ReadShard(request, chunk); }),
        fetches(&cache, &loop),
        reconnect(absl::Milliseconds(50), options.reconnect_limit) {
    for (const Gpu& gpu : options.gpus.gpus) {
      Slot::Options slot = options.slot;
      slot.device = absl::StrCat("gpu:", gpu.index);
      slot.uuid = slot.trainer.gpu = gpu.uuid;
      slot.nvml = options.gpus.nvml;
      AddSlot(slot);
    }
    for (int i = 0; i < options.cpu_slots; ++i) {
      Slot::Options slot = options.slot;
      slot.device = absl::StrCat("cpu:", i);
      slot.uuid = CpuSlotUuid(options.name, i);
      AddSlot(slot);
    }
    metrics.slots.Set(static_cast<double>(slots.size()));
  }

  void AddSlot(Slot::Options slot) {
    slot.trainer.slot = static_cast<int>(slots.size());
    slot.log_directory = options.data_dir + "/logs";
    slots.push_back(std::make_unique<Slot>(slot, &loop, this, &metrics, devices.get()));
  }

  // ---- What slots need ----

  void Report(v1::AssignmentStatus status) override {
    if (!ledger.Record(status)) return;
    LogInfo("assignment state", {{"job", status.job_id()},
                                 {"generation", status.generation()},
                                 {"rank", status.rank()},
                                 {"device", status.device()},
                                 {"state", v1::AssignmentState_Name(status.state()).substr(17)},
                                 {"step", status.step()},
                                 {"message", status.message()}});
    if (!active && !IsFinal(status.state())) return;  // Register will say it
    v1::ConnectRequest message;
    *message.mutable_assignment() = std::move(status);
    outbox.Push(std::move(message));
    Pump();
  }

  void Relay(v1::ConnectRequest message) override {
    if (message.has_progress()) {
      outbox.PushProgress(std::move(*message.mutable_progress()));
    } else if (!message.has_rendezvous()) {
      outbox.Push(std::move(message));
    } else if (active) {  // else it is repeated when the stream opens
      urgent.push_back(std::move(message));
    }
    Pump();
  }

  void RelayLog(const std::string& job_id, v1::LogLine line) override {
    line.set_worker(options.name);
    const int64_t before = outbox.dropped_lines();
    outbox.PushLog(job_id, std::move(line));
    if (const int64_t dropped = outbox.dropped_lines() - before; dropped > 0) {
      metrics.log_lines_dropped.Increment(static_cast<double>(dropped));
      LogWarning("log lines dropped: the coordinator is away or slow", {{"lines", dropped}});
    }
    Pump();
  }

  std::vector<v1::AssignmentStatus> Running(const std::string& job_id, const std::string& device) override {
    return ledger.Running(job_id, device);
  }

  std::function<void()> Localize(const v1::Dataset& dataset,
                                 std::function<void(absl::StatusOr<v1::Dataset>)> done) override {
    return fetches.Start(dataset, std::move(done));
  }

  void SlotChanged() override {
    int busy = 0, broken = 0, decided = 0, offered = 0;
    for (const auto& slot : slots) {
      busy += slot->busy();
      broken += slot->broken();
      offered += slot->profile().has_value();
      decided += slot->profile().has_value() || slot->broken();
    }
    metrics.slots_busy.Set(busy);
    metrics.slots_broken.Set(broken);
    if (!connecting && decided == std::ssize(slots) && !finishing) {
      if (offered == 0) return Finish(absl::FailedPreconditionError(slots.front()->broken_reason()));
      connecting = true;
      Connect();
    }
    FinishIfDrained();
  }

  // ---- The stream ----

  void Connect() {
    CoordinatorClient::Events events;
    events.message = [this](v1::ConnectResponse message) { OnMessage(std::move(message)); };
    events.written = [this] { OnWritten(); };
    events.closed = [this](const absl::Status& status) { OnClosed(status); };
    client->Open(std::move(events));
    stream_open = true;
    writing = Writing::kNothing;
    urgent.clear();
    QueueRegister();
    Pump();
  }

  void QueueRegister() {
    v1::ConnectRequest message;
    v1::Register& registration = *message.mutable_register_();
    registration.set_name(options.name);
    registration.set_incarnation(incarnation);
    registration.set_host(options.host);
    registration.set_version(Version());
    for (const auto& slot : slots) {
      if (!slot->profile().has_value()) continue;
      v1::Device& device = *registration.add_devices();
      device.set_id(slot->device());
      *device.mutable_profile() = *slot->profile();
      device.set_uuid(slot->uuid());
    }
    for (v1::AssignmentStatus& status : ledger.ForRegister(
             [this](const v1::AssignmentStatus& status) { return outbox.HasStatus(status); })) {
      *registration.add_assignments() = std::move(status);
    }
    registration.set_artifact_root_id(root_id);
    registration.set_allows_chaos(options.allow_chaos);
    urgent.push_back(std::move(message));
  }

  // One message is on its way at a time. Heartbeats and rendezvous do not queue behind a flood of log.
  void Pump() {
    if (!stream_open || finishing || writing != Writing::kNothing) return;
    if (!urgent.empty()) {
      writing = Writing::kUrgent;
      if (urgent.front().has_heartbeat()) heartbeat_queued = false;
      client->Write(urgent.front());
      urgent.pop_front();
    } else if (const v1::ConnectRequest* message = active ? outbox.Next() : nullptr; message != nullptr) {
      writing = Writing::kOutbox;
      client->Write(*message);
    }
  }

  void OnWritten() {
    if (std::exchange(writing, Writing::kNothing) == Writing::kOutbox) outbox.Written(absl::Now());
    Pump();
    FinishIfDrained();
  }

  void OnMessage(v1::ConnectResponse message) {
    switch (message.message_case()) {
      case v1::ConnectResponse::kRegistered:
        return OnRegistered(message.registered());
      case v1::ConnectResponse::kAssignment:
        return OnAssignment(std::move(*message.mutable_assignment()));
      case v1::ConnectResponse::kRendezvous:
        if (Slot* slot = FindSlot(message.rendezvous().device())) slot->Deliver(message.rendezvous());
        return;
      case v1::ConnectResponse::kStop:
        if (Slot* slot = FindSlot(message.stop().device())) slot->Stop(message.stop());
        return;
      case v1::ConnectResponse::kForget:
        if (ledger.Forget(message.forget())) outbox.Forget(message.forget());
        return;
      case v1::ConnectResponse::kFault:
        return OnFault(message.fault());
      case v1::ConnectResponse::kHeard:
        if (message.heard().echo() != echo) return;
        return metrics.round_trip.Observe(absl::ToDoubleSeconds(SteadyNow() - asked_at));
      case v1::ConnectResponse::MESSAGE_NOT_SET:
        LogWarning("the coordinator sent an order of an unknown kind; is it newer than this worker?",
                   {{"version", Version()}});
    }
  }

  void OnRegistered(const v1::Registered& registered) {
    heartbeat_interval = absl::Seconds(registered.heartbeat_interval().seconds()) +
                         absl::Nanoseconds(registered.heartbeat_interval().nanos());
    if (heartbeat_interval <= absl::ZeroDuration()) heartbeat_interval = absl::Milliseconds(200);
    if (!registered.artifact_root().empty()) {
      std::string seen = ReadRootId(registered.artifact_root(), options.host);
      if (seen != root_id) {
        root_id = std::move(seen);
        QueueRegister();
        Activate();
        // Its answer announces us. A coordinator that sees nothing new in it may leave it unanswered.
        loop.PostAfter(absl::Milliseconds(500), [this, number = stream_number] {
          if (number == stream_number && active) Announce(nullptr);
        });
        return;
      }
    }
    Activate();
    Announce(&registered);
  }

  // From here on the stream carries everything.
  void Activate() {
    if (std::exchange(active, true)) return;
    metrics.connected.Set(1);
    reconnect.Reset();
    name_taken_since.reset();
    failure_logged = absl::InfinitePast();
    for (v1::AssignmentStatus& status : ledger.Running()) {
      v1::ConnectRequest message;
      *message.mutable_assignment() = std::move(status);
      outbox.Push(std::move(message));
    }
    for (const auto& slot : slots) {
      if (!slot->unanswered_rendezvous().has_value()) continue;
      v1::ConnectRequest message;
      *message.mutable_rendezvous() = *slot->unanswered_rendezvous();
      urgent.push_back(std::move(message));
    }
    if (draining) urgent.emplace_back().mutable_drain();
    heartbeat_queued = false;
    Heartbeat(stream_number);
  }

  void Announce(const v1::Registered* registered) {
    if (std::exchange(announced_stream, stream_number) == stream_number) return;
    LogInfo("registered", {{"coordinator", options.coordinator},
                           {"name", options.name},
                           {"slots", slots.size()},
                           {"artifact_root", registered != nullptr ? registered->artifact_root() : ""}});
    if (!std::exchange(announced, true)) options.on_ready();
  }

  void Heartbeat(int64_t number) {
    if (number != stream_number || !active) return;
    if (!std::exchange(heartbeat_queued, true)) {
      v1::Heartbeat& heartbeat = *urgent.emplace_back().mutable_heartbeat();
      for (const auto& slot : slots) {
        if (auto times = slot->TakeTimes(); times.has_value()) *heartbeat.add_times() = *std::move(times);
      }
      Account(&heartbeat);
      metrics.heartbeats.Increment();
    }
    Pump();
    loop.PostAfter(heartbeat_interval, [this, number] { Heartbeat(number); });
  }

  // Every two seconds, whatever the interval of heartbeats is: each report is written to the store over
  // there. An answer is asked for every ten: it costs a coordinator of many agents as much as a heartbeat.
  void Account(v1::Heartbeat* heartbeat) {
    const absl::Duration now = SteadyNow();
    if (now - asked_at >= absl::Seconds(10)) {
      asked_at = now;
      heartbeat->set_echo(++echo);
    }
    if (now - accounted_at < absl::Seconds(2)) return;
    accounted_at = now;
    for (const auto& slot : slots) {
      if (auto time = slot->TimeForJob(); time.has_value()) *heartbeat->add_device_times() = *std::move(time);
    }
  }

  // The first one after a connection, and another reason later: the coordinator is there, but not for us.
  bool FailureIsNews(const absl::Status& status) {
    const absl::Time now = absl::Now();
    const bool another = status.message() != failure_told && now - failure_logged >= absl::Seconds(5);
    if (failure_logged != absl::InfinitePast() && !another) return false;
    failure_logged = now;
    failure_told = std::string(status.message());
    return true;
  }

  void OnClosed(const absl::Status& status) {
    const bool was_active = std::exchange(active, false);
    stream_open = false;
    writing = Writing::kNothing;
    ++stream_number;
    metrics.connected.Set(0);
    outbox.Disconnected(absl::Now());
    if (finishing) return loop.Stop();
    if (status.code() == absl::StatusCode::kFailedPrecondition) return Finish(status);
    if (status.code() == absl::StatusCode::kAlreadyExists) {
      if (!name_taken_since.has_value()) {
        name_taken_since = absl::Now();
        LogInfo("the name is taken; waiting in case it is a predecessor that has not timed out yet",
                {{"name", options.name}});
      }
      if (absl::Now() - *name_taken_since >= options.name_taken_patience) return Finish(status);
    } else if (FailureIsNews(status)) {
      LogWarning(
          was_active ? "lost the coordinator; jobs here go on, reconnecting" : "no coordinator yet, retrying",
          {{"coordinator", options.coordinator}, {"error", status}});
    }
    if (was_active) metrics.reconnects.Increment();
    loop.PostAfter(reconnect.Next(), [this] {
      if (!stream_open && !finishing) Connect();
    });
    FinishIfDrained();
  }

  // ---- Orders ----

  Slot* FindSlot(const std::string& device) {
    for (const auto& slot : slots) {
      if (slot->device() == device) return slot.get();
    }
    LogWarning("an order for a device that this worker does not have", {{"device", device}});
    return nullptr;
  }

  void OnAssignment(v1::Assignment assignment) {
    Slot* slot = FindSlot(assignment.device());
    // A job at work here may still change over: its peers need what this worker holds until it may leave.
    const bool welcome = slot != nullptr && (!draining || slot->works_for(assignment.job_id()));
    if (welcome) return slot->Assign(std::move(assignment));
    v1::AssignmentStatus refusal;
    refusal.set_job_id(assignment.job_id());
    refusal.set_generation(assignment.generation());
    refusal.set_rank(assignment.rank());
    refusal.set_device(assignment.device());
    refusal.set_state(v1::ASSIGNMENT_STATE_FAILED);
    refusal.set_message(absl::StrCat("worker ", options.name,
                                     slot == nullptr ? absl::StrCat(" has no device ", assignment.device())
                                                     : " is draining and takes no more work"));
    Report(std::move(refusal));
  }

  void OnFault(const v1::Fault& fault) {
    if (!options.allow_chaos) {
      return LogWarning(
          "ignored a fault that the coordinator ordered: this worker was started without --allow-chaos");
    }
    LogWarning("chaos, as ordered",
               {{"fault", v1::FaultKind_Name(fault.kind())}, {"device", fault.device()}});
    if (fault.kind() == v1::FAULT_KIND_DRAIN) {
      if (!draining) Drain();
      return;
    }
    DoFault(fault, options.name, &loop, slots);
  }

  // ---- The end ----

  void Drain() {
    if (finishing) return;
    if (std::exchange(draining, true)) return Finish(absl::OkStatus());
    LogInfo("draining: asked the coordinator to take the work away",
            {{"at_most", absl::FormatDuration(options.drain_timeout)}});
    if (active) urgent.emplace_back().mutable_drain();
    Pump();
    loop.PostAfter(options.drain_timeout, [this] {
      if (finishing) return;
      LogWarning("work was not taken away in time, killing trainers");
      Finish(absl::OkStatus());
    });
    FinishIfDrained();
  }

  void FinishIfDrained() {
    if (!draining || finishing) return;
    for (const auto& slot : slots) {
      if (slot->busy()) return;
    }
    const bool said = urgent.empty() && outbox.empty() && writing == Writing::kNothing;
    if (!active || said) Finish(absl::OkStatus());
  }

  void Finish(absl::Status status) {
    if (std::exchange(finishing, true)) return;
    result = std::move(status);
    if (!stream_open) return loop.Stop();
    if (writing == Writing::kNothing) {
      client->Finish();
      loop.PostAfter(absl::Seconds(1), [this] { client->Cancel(); });
    } else {
      client->Cancel();
    }
    // `closed` stops the loop.
  }

  enum class Writing { kNothing, kUrgent, kOutbox };

  const Options options;
  const std::string incarnation = RandomId();
  WorkerMetrics metrics;
  const std::shared_ptr<DeviceMetrics> devices = std::make_shared<DeviceMetrics>();
  Loop loop;
  std::unique_ptr<CoordinatorClient> client;
  DatasetCache cache;
  Fetches fetches;
  AssignmentLedger ledger;
  Outbox outbox;
  std::vector<std::unique_ptr<Slot>> slots;

  bool connecting = false;  // a first stream was opened
  bool stream_open = false;
  bool active = false;
  int64_t stream_number = 1;
  Writing writing = Writing::kNothing;
  std::deque<v1::ConnectRequest> urgent;
  std::string root_id;
  Backoff reconnect;
  std::optional<absl::Time> name_taken_since;
  absl::Time failure_logged = absl::InfinitePast();  // since the last connection
  std::string failure_told;
  absl::Duration heartbeat_interval;
  bool heartbeat_queued = false;
  int64_t echo = 0;                                     // of the last heartbeat that asked for an answer
  absl::Duration asked_at = -absl::InfiniteDuration();  // then; on SteadyNow's clock, as
  absl::Duration accounted_at = -absl::InfiniteDuration();
  int64_t announced_stream = 0;
  bool announced = false;
  bool draining = false;
  bool finishing = false;
  absl::Status result;
};

Agent::Agent(const Options& options, prometheus::Registry* registry)
    : impl_(std::make_unique<Impl>(options, registry)) {}
Agent::~Agent() = default;

std::shared_ptr<prometheus::Collectable> Agent::device_metrics() const { return impl_->devices; }

absl::Status Agent::Run() {
  for (const auto& slot : impl_->slots) {
    if (absl::Status status = slot->Start(); !status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(status.message(), "; build or install it, or name it with --trainer"));
    }
  }
  impl_->loop.Run();
  impl_->slots.clear();  // kills the trainers
  return impl_->result;
}

void Agent::Drain() {
  impl_->loop.Post([impl = impl_.get()] { impl->Drain(); });
}

}  // namespace lockstep
