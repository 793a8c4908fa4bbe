// What the controller's tests stand on: a clock that is set by hand, agents that are spoken for, a store that
// can be made to fail. Waiting is on conditions, never on time alone.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/jobs/controller.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {

class FakeClock : public Clock {
 public:
  absl::Time Now() override {
    std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    std::lock_guard<std::mutex> lock(mutex_);
    now_ += duration;
  }

 private:
  std::mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
};

// A real store whose commits fail while `failing` is set.
class FailingStore : public Store {
 public:
  explicit FailingStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}
  std::atomic<bool> failing{false};
  std::atomic<int> failed{0};

  absl::Status Commit(const Batch& batch) override {
    if (!batch.empty() && failing) {
      ++failed;
      return absl::UnavailableError("nothing was stored: the disk is full");
    }
    return store_->Commit(batch);
  }
  absl::StatusOr<bool> RemoveSome(const std::string& job, int limit) override {
    return store_->RemoveSome(job, limit);
  }
  absl::StatusOr<std::vector<StoredDeletion>> LoadDeletions() override { return store_->LoadDeletions(); }
  absl::StatusOr<std::vector<StoredJob>> LoadActiveJobs() override { return store_->LoadActiveJobs(); }
  absl::StatusOr<StoredJob> GetJob(const std::string& id) override { return store_->GetJob(id); }
  absl::StatusOr<StoredJob> FindJobByName(const std::string& space, const std::string& name) override {
    return store_->FindJobByName(space, name);
  }
  absl::StatusOr<std::vector<StoredJob>> ListJobs(const JobFilter& filter, const std::string& before,
                                                  int limit) override {
    return store_->ListJobs(filter, before, limit);
  }
  absl::StatusOr<std::vector<v1::Namespace>> LoadNamespaces() override { return store_->LoadNamespaces(); }
  absl::StatusOr<int64_t> StorageOf(const std::string& space) override { return store_->StorageOf(space); }
  absl::StatusOr<std::map<std::string, int64_t>> StorageOfAll() override { return store_->StorageOfAll(); }
  absl::StatusOr<std::map<v1::JobState, int64_t>> CountJobs() override { return store_->CountJobs(); }
  absl::StatusOr<std::string> LastJobId() override { return store_->LastJobId(); }
  absl::StatusOr<std::optional<StoredRequest>> FindRequest(const std::string& id) override {
    return store_->FindRequest(id);
  }
  absl::StatusOr<std::vector<StoredTransition>> ListTransitions(const std::string& job) override {
    return store_->ListTransitions(job);
  }
  absl::StatusOr<std::vector<v1::Cordon>> LoadCordons() override { return store_->LoadCordons(); }
  absl::StatusOr<std::vector<FleetEvent>> LoadFleetEvents() override { return store_->LoadFleetEvents(); }
  absl::Status SaveDataset(const v1::Dataset& dataset) override { return store_->SaveDataset(dataset); }
  absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() override { return store_->LoadDatasets(); }
  absl::StatusOr<std::optional<v1::Dataset>> FindDataset(const std::string& name, int version) override {
    return store_->FindDataset(name, version);
  }
  absl::StatusOr<std::vector<v1::MetricPoint>> ReadMetrics(const std::string& job, int64_t after,
                                                           int limit) override {
    return store_->ReadMetrics(job, after, limit);
  }
  absl::StatusOr<LogPage> ReadLogs(const std::string& job, int64_t position, int limit) override {
    return store_->ReadLogs(job, position, limit);
  }
  absl::StatusOr<int64_t> LogTail(const std::string& job, int64_t lines) override {
    return store_->LogTail(job, lines);
  }
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job) override {
    return store_->ListCheckpoints(job);
  }
  absl::StatusOr<std::vector<v1::Checkpoint>> NewestCheckpoints(
      const std::vector<v1::JobState>& states) override {
    return store_->NewestCheckpoints(states);
  }

 private:
  const std::unique_ptr<Store> store_;
};

// What the coordinator said to one stream.
class FakeSink : public AgentSink {
 public:
  void Send(v1::ConnectResponse message) override {
    std::lock_guard<std::mutex> lock(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_all();
  }
  void Close(absl::Status status) override {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = std::move(status);
    changed_.notify_all();
  }

  // The next message of that kind; those before it are dropped.
  v1::ConnectResponse Next(v1::ConnectResponse::MessageCase kind) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      while (!messages_.empty()) {
        v1::ConnectResponse message = std::move(messages_.front());
        messages_.pop_front();
        if (message.message_case() == kind) return message;
      }
      if (changed_.wait_for(lock, std::chrono::seconds(10)) == std::cv_status::timeout) {
        ADD_FAILURE() << "no message of kind " << kind << " came";
        return {};
      }
    }
  }
  absl::Status WaitClosed() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(10), [this] { return closed_.has_value(); })) {
      return absl::UnknownError("was not closed");
    }
    return *closed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<v1::ConnectResponse> messages_;
  std::optional<absl::Status> closed_;
};

// An agent with `devices` cpu slots, moved by hand.
class FakeAgent {
 public:
  FakeAgent(Controller* controller, std::string name, int devices, std::string isa = "avx512_core",
            std::string incarnation = "")
      : controller_(controller), name_(std::move(name)) {
    register_.set_name(name_);
    register_.set_incarnation(incarnation.empty() ? name_ + "-1" : incarnation);
    register_.set_host("host-of-" + name_);
    for (int i = 0; i < devices; ++i) {
      v1::Device* device = register_.add_devices();
      device->set_id(absl::StrCat("cpu:", i));
      device->mutable_profile()->set_device_kind("cpu");
      device->mutable_profile()->set_instruction_set(isa);
    }
  }

  v1::Register& registration() { return register_; }
  FakeSink& sink() { return *sink_; }

  void Connect() {
    sink_ = std::make_shared<FakeSink>();
    session_ = controller_->AgentConnected(sink_);
    SendRegister();
  }
  void SendRegister() {
    v1::ConnectRequest message;
    *message.mutable_register_() = register_;
    controller_->AgentMessage(session_, message);
  }
  // Connects and shows that it sees the artifact root.
  void Join() {
    Connect();
    const auto registered = sink_->Next(v1::ConnectResponse::kRegistered).registered();
    register_.set_artifact_root_id(registered.artifact_root_id());
    SendRegister();
    sink_->Next(v1::ConnectResponse::kRegistered);
  }
  void Disconnect() { controller_->AgentDisconnected(session_); }

  v1::Assignment NextAssignment() { return sink_->Next(v1::ConnectResponse::kAssignment).assignment(); }
  v1::Stop NextStop() { return sink_->Next(v1::ConnectResponse::kStop).stop(); }

  static v1::AssignmentStatus StatusOf(const v1::Assignment& assignment, v1::AssignmentState state) {
    v1::AssignmentStatus status;
    status.set_job_id(assignment.job_id());
    status.set_generation(assignment.generation());
    status.set_rank(assignment.rank());
    status.set_device(assignment.device());
    status.set_state(state);
    return status;
  }
  void Report(const v1::AssignmentStatus& status) {
    v1::ConnectRequest message;
    *message.mutable_assignment() = status;
    controller_->AgentMessage(session_, message);
  }
  void Report(const v1::Assignment& assignment, v1::AssignmentState state) {
    Report(StatusOf(assignment, state));
  }
  void Address(const v1::Assignment& assignment) {
    v1::ConnectRequest message;
    v1::RendezvousAddress* address = message.mutable_rendezvous();
    address->set_job_id(assignment.job_id());
    address->set_generation(assignment.generation());
    address->set_rank(assignment.rank());
    address->set_address(absl::StrCat("address of rank ", assignment.rank()));
    controller_->AgentMessage(session_, message);
  }
  // Takes its next order and brings it up to its first step.
  v1::Assignment Run() {
    const v1::Assignment assignment = NextAssignment();
    Address(assignment);
    Report(assignment, v1::ASSIGNMENT_STATE_RUNNING);
    return assignment;
  }
  void Succeed(const v1::Assignment& assignment) {
    auto status = StatusOf(assignment, v1::ASSIGNMENT_STATE_SUCCEEDED);
    status.mutable_result()->set_stop_reason("all epochs done");
    (*status.mutable_result()->mutable_metrics())["test/accuracy"] = 0.97;
    Report(status);
  }
  void Progress(const v1::Assignment& assignment, int64_t step) {
    v1::ConnectRequest message;
    v1::Progress* progress = message.mutable_progress();
    progress->set_job_id(assignment.job_id());
    progress->set_generation(assignment.generation());
    progress->mutable_progress()->set_step(step);
    v1::MetricPoint* point = progress->add_points();
    point->set_step(step);
    (*point->mutable_values())["train/loss"] = 1.0 / static_cast<double>(step);
    controller_->AgentMessage(session_, message);
  }
  void Times(const v1::Assignment& assignment, double input, double compute) {
    v1::ConnectRequest message;
    v1::RankTimes* times = message.mutable_heartbeat()->add_times();
    times->set_job_id(assignment.job_id());
    times->set_generation(assignment.generation());
    times->set_rank(assignment.rank());
    times->mutable_step()->set_input(input);
    times->mutable_step()->set_compute(compute);
    controller_->AgentMessage(session_, message);
  }
  void Log(const std::string& job, int64_t sequence, const std::string& text) {
    v1::ConnectRequest message;
    message.mutable_logs()->set_job_id(job);
    v1::LogLine* line = message.mutable_logs()->add_lines();
    line->set_generation(1);
    line->set_sequence(sequence);
    line->set_text(text);
    controller_->AgentMessage(session_, message);
  }
  void ReportCheckpoint(const v1::CheckpointWritten& written) {
    v1::ConnectRequest message;
    *message.mutable_checkpoint() = written;
    controller_->AgentMessage(session_, message);
  }
  void Heartbeat() {
    v1::ConnectRequest message;
    message.mutable_heartbeat();
    controller_->AgentMessage(session_, message);
  }
  void HeartbeatWithEcho(int64_t echo) {
    v1::ConnectRequest message;
    message.mutable_heartbeat()->set_echo(echo);
    controller_->AgentMessage(session_, message);
  }
  void SendDrain() {
    v1::ConnectRequest message;
    message.mutable_drain();
    controller_->AgentMessage(session_, message);
  }

 private:
  Controller* const controller_;
  const std::string name_;
  v1::Register register_;
  std::shared_ptr<FakeSink> sink_;
  int64_t session_ = 0;
};

class ControllerTest : public ::testing::Test {
 protected:
  ControllerTest() {
    std::string pattern = ::testing::TempDir() + "/controller-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    options_.artifact_root = directory_ + "/artifacts";
    StartController();
  }
  ~ControllerTest() override {
    controller_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void StartController() {
    auto store = OpenSqliteStore(directory_ + "/lockstep.db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::make_unique<FailingStore>(*std::move(store));
    auto controller = Controller::Start(options_, store_.get(), &clock_);
    ASSERT_TRUE(controller.ok()) << controller.status();
    controller_ = *std::move(controller);
  }
  void RestartController() {
    controller_.reset();
    store_.reset();
    StartController();
  }

  static v1::JobSpec Spec(int min = 1, int max = 1, int priority = 0, const std::string& name = "digits") {
    v1::JobSpec spec;
    spec.set_name(name);
    spec.mutable_workers()->set_min(min);
    spec.mutable_workers()->set_max(max);
    spec.set_priority(priority);
    spec.set_reproducible(true);
    spec.mutable_train()->set_logical_shards(8);
    return spec;
  }
  static v1::Dataset TheDataset() {
    v1::Dataset dataset;
    dataset.set_name("digits");
    dataset.set_version(1);
    dataset.set_fingerprint("f00d");
    return dataset;
  }

  using Result = absl::StatusOr<v1::Job>;
  Result Await(const std::function<void(Controller::JobCallback)>& call) {
    auto promise = std::make_shared<std::promise<Result>>();
    auto future = promise->get_future();
    call([promise](Result result) { promise->set_value(std::move(result)); });
    if (future.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      return absl::DeadlineExceededError("the call was not answered");
    }
    return future.get();
  }
  Result Submit(const v1::JobSpec& spec, const std::string& request_id = "", const JobOwner& owner = {}) {
    return Await([&](Controller::JobCallback done) {
      controller_->Submit(spec, request_id, TheDataset(), std::move(done), owner);
    });
  }
  std::string SubmitId(const v1::JobSpec& spec) {
    auto job = Submit(spec);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->id() : "";
  }
  Result Cancel(const std::string& job) {
    return Await([&](Controller::JobCallback done) { controller_->Cancel(job, std::move(done)); });
  }
  Result Pause(const std::string& job) {
    return Await([&](Controller::JobCallback done) { controller_->Pause(job, std::move(done)); });
  }
  Result Scale(const std::string& job, int workers) {
    return Await([&](Controller::JobCallback done) { controller_->Scale(job, workers, std::move(done)); });
  }
  Result Resume(const std::string& job) {
    return Await([&](Controller::JobCallback done) { controller_->Resume(job, std::move(done)); });
  }

  // Follows the job until `wanted` holds; the job as it was then.
  v1::Job WaitFor(const std::string& job, const std::function<bool(const v1::Job&)>& wanted) {
    std::mutex mutex;
    std::condition_variable changed;
    v1::Job found, last;
    bool done = false;
    auto watch = controller_->WatchJob(
        job,
        [&](const v1::Job& now) {
          std::lock_guard<std::mutex> lock(mutex);
          last = now;
          if (done || !wanted(now)) return;
          found = now;
          done = true;
          changed.notify_all();
        },
        [](absl::Status) {});
    {
      std::unique_lock<std::mutex> lock(mutex);
      if (!changed.wait_for(lock, std::chrono::seconds(10), [&] { return done; })) {
        ADD_FAILURE() << "job " << job << " stayed " << last.ShortDebugString();
      }
    }
    watch.reset();
    return found;
  }
  v1::Job WaitState(const std::string& job, v1::JobState state) {
    return WaitFor(job, [state](const v1::Job& now) { return now.state() == state; });
  }
  // Time goes by while the agents are heard all along: a tick that comes between an advance and a heartbeat
  // would lose an agent that was last heard a whole timeout before.
  void PassWith(const std::vector<FakeAgent*>& agents, absl::Duration time) {
    for (absl::Duration left = time; left > absl::ZeroDuration(); left -= options_.worker_timeout / 2) {
      for (FakeAgent* agent : agents) agent->Heartbeat();
      // Answered when all that came before it has been applied.
      EXPECT_EQ(Resume("nobody").status().code(), absl::StatusCode::kNotFound);
      clock_.Advance(std::min(left, options_.worker_timeout / 2));
    }
    for (FakeAgent* agent : agents) agent->Heartbeat();
  }
  // Why the job went into its newest state: its own reason is soon what it waits for.
  std::string ReasonOfMove(const std::string& job, v1::JobState to) {
    const auto transitions = store_->ListTransitions(job);
    EXPECT_TRUE(transitions.ok()) << transitions.status();
    std::string reason = "it never went there";
    if (!transitions.ok()) return reason;
    for (const StoredTransition& move : *transitions) {
      if (move.to == to) reason = move.reason;
    }
    return reason;
  }
  v1::JobState StateOf(const std::string& job) {
    auto found = controller_->GetJob(job);
    return found.ok() ? found->state() : v1::JOB_STATE_UNSPECIFIED;
  }

  std::string directory_;
  FakeClock clock_;
  Controller::Options options_;
  std::unique_ptr<FailingStore> store_;
  std::unique_ptr<Controller> controller_;
};

}  // namespace lockstep
