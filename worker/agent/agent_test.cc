// The agent as a whole: real processes (testing/fake_trainer.cc), a real stream
// (testing/fake_coordinator.cc).
#include "worker/agent/agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/metrics/scrape_for_test.h"
#include "common/process/child.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/ledger.h"
#include "worker/agent/testing/fake_coordinator.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string MakeFolder() {
  std::string pattern = ::testing::TempDir() + "/agent_test_XXXXXX";
  return ::mkdtemp(pattern.data()) != nullptr ? pattern : "";
}

// Runs an agent on a thread of its own; Stop drains it twice, which ends it at once.
class RunningAgent {
 public:
  RunningAgent(Agent::Options options, prometheus::Registry* registry) : agent_(options, registry) {
    thread_ = std::thread([this] { result_ = agent_.Run(); });
  }
  ~RunningAgent() {
    if (thread_.joinable()) Stop().IgnoreError();
  }
  absl::Status Stop() {
    agent_.Drain();
    agent_.Drain();
    return Wait();
  }
  absl::Status Wait() {
    thread_.join();
    return result_;
  }
  Agent* operator->() { return &agent_; }

 private:
  Agent agent_;
  absl::Status result_;
  std::thread thread_;
};

// Processes whose parent is `pid`.
std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    const size_t after = line.rfind(')');
    if (after == std::string::npos) continue;
    std::istringstream rest(line.substr(after + 1));
    char state;
    pid_t parent;
    if (rest >> state >> parent && parent == pid && state != 'Z') children.push_back(std::stoi(name));
  }
  return children;
}

// For what only the system can tell: looks until it is so, for at most 20 s.
bool Eventually(const std::function<bool()>& holds) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("FAKE_TRAINER");
    folder_ = MakeFolder();
    std::filesystem::create_directories(folder_ + "/root");
    std::ofstream(folder_ + "/root/.lockstep-root") << "the-root\n";
    std::ofstream(folder_ + "/data.csv") << "1,2\n";
    StartCoordinator({});
  }
  void TearDown() override {
    ::unsetenv("FAKE_TRAINER");
    std::filesystem::remove_all(folder_);
  }

  void StartCoordinator(FakeCoordinator::Options options) {
    options.artifact_root = folder_ + "/root";
    coordinator_.reset();
    coordinator_ = std::make_unique<FakeCoordinator>(options);
    ASSERT_NE(coordinator_->port(), 0);
  }

  Agent::Options Options(int slots = 1) {
    Agent::Options options;
    options.coordinator = coordinator_->address();
    options.name = "node";
    options.host = "host";
    options.cpu_slots = slots;
    options.data_dir = folder_ + "/state";
    options.slot.trainer.program = FAKE_TRAINER_PATH;
    options.slot.exit_grace = absl::Milliseconds(200);
    options.reconnect_limit = absl::Milliseconds(200);
    return options;
  }

  std::unique_ptr<RunningAgent> Start(const Agent::Options& options) {
    return std::make_unique<RunningAgent>(options, &registry_);
  }
  std::unique_ptr<RunningAgent> StartRegistered(int slots = 1) {
    auto agent = Start(Options(slots));
    EXPECT_TRUE(AwaitRegistration().has_value());
    return agent;
  }

  // The Register that carries the artifact root's id: the handshake is complete.
  std::optional<v1::Register> AwaitRegistration() {
    auto message = coordinator_->Await([](const v1::ConnectRequest& request) {
      return request.has_register_() && !request.register_().artifact_root_id().empty();
    });
    if (!message.has_value()) return std::nullopt;
    return message->register_();
  }

  v1::Assignment Order(const std::string& what, int64_t generation = 1) {
    v1::Assignment order;
    order.set_job_id("job1");
    order.set_job_name(what);
    order.set_generation(generation);
    order.set_rank(0);
    order.set_world(1);
    order.set_device("cpu:0");
    order.mutable_dataset()->set_name("data");
    order.mutable_dataset()->set_version(1);
    order.mutable_dataset()->set_fingerprint("abc");
    order.mutable_dataset()->set_path(folder_ + "/data.csv");
    order.mutable_dataset()->set_bytes(4);
    return order;
  }
  void Assign(const v1::Assignment& order) {
    v1::ConnectResponse message;
    *message.mutable_assignment() = order;
    coordinator_->Send(message);
  }
  void SendStop(v1::Stop::Mode mode, int64_t generation = 1, const std::string& job = "job1") {
    v1::ConnectResponse message;
    message.mutable_stop()->set_job_id(job);
    message.mutable_stop()->set_generation(generation);
    message.mutable_stop()->set_device("cpu:0");
    message.mutable_stop()->set_mode(mode);
    coordinator_->Send(message);
  }
  void Forget(int64_t generation = 1) {
    v1::ConnectResponse message;
    message.mutable_forget()->set_job_id("job1");
    message.mutable_forget()->set_generation(generation);
    message.mutable_forget()->set_device("cpu:0");
    coordinator_->Send(message);
  }

  std::vector<v1::LogLine> Lines() {
    std::vector<v1::LogLine> lines;
    for (const auto& message : coordinator_->All()) {
      for (const auto& line : message.logs().lines()) lines.push_back(line);
    }
    return lines;
  }
  std::string Metrics() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  std::string folder_;
  prometheus::Registry registry_;
  std::unique_ptr<FakeCoordinator> coordinator_;
};

TEST_F(AgentTest, RegistersItsDevicesWithTheirProfilesAndTheRootItSees) {
  absl::Notification ready;
  Agent::Options options = Options(2);
  options.on_ready = [&] { ready.Notify(); };
  auto agent = Start(options);
  auto first = coordinator_->Await([](const v1::ConnectRequest& request) { return request.has_register_(); });
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->register_().artifact_root_id(), "") << "it cannot know yet";
  auto second = AwaitRegistration();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->artifact_root_id(), "the-root");
  EXPECT_EQ(second->name(), "node");
  ASSERT_EQ(second->devices_size(), 2);
  EXPECT_EQ(second->devices(1).id(), "cpu:1");
  EXPECT_EQ(second->devices(1).profile().device_model(), "fake");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(coordinator_->Await([](const auto& request) { return request.has_heartbeat(); }).has_value());
  }
  // The answer to the second Register announces it, whenever that is read.
  EXPECT_TRUE(ready.WaitForNotificationWithTimeout(absl::Seconds(20)));
  EXPECT_TRUE(agent->Stop().ok());
}

TEST_F(AgentTest, GpusAreSlotsOfTheirOwnByUuid) {
  ::setenv("LOCKSTEP_NVML", FAKE_NVML_PATH, 1);
  Agent::Options options = Options(1);
  auto gpus = ChooseGpus("auto", 1);
  ::unsetenv("LOCKSTEP_NVML");
  ASSERT_TRUE(gpus.ok()) << gpus.status();
  options.gpus = *gpus;
  auto agent = Start(options);
  const auto registration = AwaitRegistration();
  ASSERT_TRUE(registration.has_value());
  ASSERT_EQ(registration->devices_size(), 3);
  for (int i = 0; i < 2; ++i) {
    const v1::Device& device = registration->devices(i);
    EXPECT_EQ(device.id(), absl::StrCat("gpu:", i));
    EXPECT_EQ(device.uuid(), gpus->gpus[static_cast<size_t>(i)].uuid);
    EXPECT_EQ(device.profile().device_kind(), "gpu");
    EXPECT_EQ(device.profile().device_model(), device.uuid()) << "its trainer sees another GPU";
  }
  EXPECT_EQ(registration->devices(2).id(), "cpu:0");
  EXPECT_EQ(registration->devices(2).profile().device_kind(), "cpu");

  v1::Assignment order = Order("succeed");
  order.set_device("gpu:1");
  Assign(order);
  const auto end = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED);
  ASSERT_TRUE(end.has_value());
  EXPECT_GE(end->time().joules(), 5) << "the driver's library counts 5 J with each look";
  prometheus::TextSerializer text;
  const std::string page = text.Serialize((*agent)->device_metrics()->Collect());
  const std::string labels = absl::StrCat("{device=\"gpu:1\",uuid=\"", gpus->gpus[1].uuid, "\"}");
  EXPECT_THAT(page, HasSubstr("lockstep_worker_gpu_power_watts" + labels + " 350.5"));
  EXPECT_THAT(page, HasSubstr("lockstep_worker_gpu_temperature_celsius" + labels + " 61"));
  EXPECT_THAT(page, Not(HasSubstr("lockstep_worker_gpu_power_watts{device=\"cpu:0\"")));
}

TEST_F(AgentTest, OrderOnAGpuThatIsGoneEndsTheJob) {
  ::setenv("FAKE_TRAINER", "die-gpu", 1);
  Agent::Options options = Options(1);
  options.gpus.gpus = {{0, "GPU-1", "Fake H1", 1}};
  auto agent = Start(options);
  const auto registration = AwaitRegistration();
  ASSERT_TRUE(registration.has_value());
  ASSERT_EQ(registration->devices_size(), 1);
  EXPECT_EQ(registration->devices(0).id(), "cpu:0");
  v1::Assignment order = Order("succeed");
  order.set_device("gpu:0");
  Assign(order);
  const auto end = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_FAILED);
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->unfit()) << "else it would end the job";
  EXPECT_THAT(end->message(), HasSubstr("slot gpu:0 is broken"));
}

TEST_F(AgentTest, RootThatIsNotSharedIsReportedAndTheRefusalEndsTheAgent) {
  std::filesystem::remove(folder_ + "/root/.lockstep-root");
  StartCoordinator({.check_root_id = true});
  auto agent = Start(Options());
  const absl::Status result = agent->Wait();
  EXPECT_EQ(result.code(), absl::StatusCode::kFailedPrecondition) << result;
  EXPECT_THAT(std::string(result.message()), HasSubstr("no shared artifact root"));
}

TEST_F(AgentTest, AssignmentRunsAndItsReportsArriveInOrder) {
  auto agent = StartRegistered();
  Assign(Order("burst-succeed"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STARTING).has_value());
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  auto end = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->device(), "cpu:0");

  int64_t points = 0;
  bool checkpoint = false, last_line = false;
  for (const auto& message : coordinator_->All()) {
    points += message.progress().points_size();
    checkpoint |= message.has_checkpoint();
    for (const auto& line : message.logs().lines()) last_line |= line.text() == "all done";
    if (message.assignment().state() != v1::ASSIGNMENT_STATE_SUCCEEDED) continue;
    EXPECT_EQ(points, 50);
    EXPECT_TRUE(checkpoint);
    EXPECT_TRUE(last_line) << "what the trainer logged before its end comes before it";
  }
  // The next job gets a fresh trainer; the last one's number of lines is whole.
  v1::Assignment next = Order("succeed");
  next.set_job_id("job2");
  Assign(next);
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  const std::string page = Metrics();
  EXPECT_THAT(page, HasSubstr("lockstep_worker_trainer_seconds_total{kind=\"compute\"} 2.5"));
  EXPECT_THAT(page, HasSubstr("lockstep_worker_samples_total 3200"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

TEST_F(AgentTest, CrashIsReportedAtOnceWithSignalAndLastLines) {
  auto agent = StartRegistered();
  Assign(Order("crash"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->signal(), SIGSEGV);
  EXPECT_THAT(crash->message(), HasSubstr("SIGSEGV"));
  ASSERT_EQ(crash->log_tail_size(), 20);
  EXPECT_EQ(crash->log_tail(19), "last words ?");
  EXPECT_EQ(crash->log_tail(18), "before the crash 29");
  EXPECT_THAT(Metrics(), HasSubstr("lockstep_worker_trainer_crashes_total{signal=\"SIGSEGV\"} 1"));
  // The agent lives on, with a fresh trainer.
  Assign(Order("succeed", 2));
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED, 2).has_value());
  std::ifstream log(folder_ + "/state/logs/job1-1-0.log");
  std::stringstream text;
  text << log.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("before the crash 0\n"));
}

TEST_F(AgentTest, KilledTrainerIsNoticed) {
  auto agent = StartRegistered();
  Assign(Order("run"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  const std::vector<pid_t> trainers = ChildrenOf(::getpid());
  ASSERT_EQ(trainers.size(), 1u);
  ::kill(trainers[0], SIGKILL);
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->signal(), SIGKILL);
}

TEST_F(AgentTest, StoppedTrainerIsKilledAfterItsSilence) {
  auto agent = StartRegistered();
  v1::Assignment order = Order("freeze");
  order.mutable_spec()->mutable_workers()->mutable_silence()->set_seconds(1);
  Assign(order);
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->signal(), SIGKILL);
  EXPECT_THAT(crash->message(), HasSubstr("no sign of life for 1s"));
}

TEST_F(AgentTest, TrainerWhoseStepTakesTooLongIsKilled) {
  auto agent = StartRegistered();
  v1::Assignment order = Order("slow");
  order.mutable_spec()->mutable_workers()->mutable_silence()->set_seconds(3600);
  Assign(order);
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_THAT(crash->message(), HasSubstr("took 1m40s, more than 1m"));
}

TEST_F(AgentTest, ExitWithoutAWordIsACrashWithItsCode) {
  auto agent = StartRegistered();
  Assign(Order("exit3"));
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->signal(), 0);
  EXPECT_EQ(crash->exit_code(), 3);
}

TEST_F(AgentTest, EveryLineOfAFloodArrivesOnceInOrder) {
  auto agent = StartRegistered();
  Assign(Order("flood-succeed"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  const auto lines = Lines();
  ASSERT_GE(lines.size(), 15'002u);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].sequence(), static_cast<int64_t>(i) + 1);
  EXPECT_THAT(lines[15'000].text(), HasSubstr("line 14999 "));
  EXPECT_EQ(lines[0].worker(), "node");
}

TEST_F(AgentTest, StopPauseIsObeyedByTheTrainer) {
  auto agent = StartRegistered();
  Assign(Order("run"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  SendStop(v1::Stop::MODE_PAUSE);
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED).has_value());
}

TEST_F(AgentTest, StopAbortKillsATrainerThatIgnoresStops) {
  auto agent = StartRegistered();
  Assign(Order("deaf"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  SendStop(v1::Stop::MODE_ABORT);
  auto stopped = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED);
  ASSERT_TRUE(stopped.has_value());
  EXPECT_EQ(stopped->signal(), 0) << "it is no crash";
  EXPECT_THAT(Metrics(), HasSubstr("lockstep_worker_trainer_crashes_total{signal=\"SIGKILL\"} 0"));
}

TEST_F(AgentTest, StaleOrdersAreIgnored) {
  auto agent = StartRegistered();
  Assign(Order("run", 5));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING, 5).has_value());
  SendStop(v1::Stop::MODE_ABORT, 4);
  SendStop(v1::Stop::MODE_ABORT, 5, "another");
  Assign(Order("crash", 4));
  SendStop(v1::Stop::MODE_CANCEL, 5);  // the first one that counts
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED, 5).has_value());
  for (const auto& message : coordinator_->All()) {
    EXPECT_NE(message.assignment().generation(), 4);
    EXPECT_NE(message.assignment().state(), v1::ASSIGNMENT_STATE_CRASHED);
  }
}

TEST_F(AgentTest, SecondJobOnABusyDeviceIsRefusedWithTheReason) {
  auto agent = StartRegistered();
  Assign(Order("run"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  v1::Assignment other = Order("run", 7);
  other.set_job_id("other");
  Assign(other);
  auto refused = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_FAILED, 7);
  ASSERT_TRUE(refused.has_value());
  EXPECT_THAT(refused->message(), HasSubstr("works for job job1"));
}

TEST_F(AgentTest, HigherGenerationGoesToTheRunningTrainer) {
  auto agent = StartRegistered();
  Assign(Order("run", 1));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING, 1).has_value());
  const std::vector<pid_t> before = ChildrenOf(::getpid());
  Assign(Order("run", 2));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING, 2).has_value());
  EXPECT_EQ(ChildrenOf(::getpid()), before) << "the same process";
}

TEST_F(AgentTest, RendezvousIsCarriedBothWaysAndRepeatedToANewCoordinator) {
  auto agent = StartRegistered();
  Assign(Order("meet"));
  const auto published = [](const v1::ConnectRequest& request) { return request.has_rendezvous(); };
  auto address = coordinator_->Await(published);
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(address->rendezvous().address(), "blob");
  StartCoordinator({.port = coordinator_->port()});
  ASSERT_TRUE(AwaitRegistration().has_value());
  ASSERT_TRUE(coordinator_->Await(published).has_value()) << "the new one knows nothing of it";
  v1::ConnectResponse ready;
  ready.mutable_rendezvous()->set_job_id("job1");
  ready.mutable_rendezvous()->set_generation(1);
  ready.mutable_rendezvous()->set_device("cpu:0");
  ready.mutable_rendezvous()->add_addresses("blob");
  coordinator_->Send(ready);
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
}

TEST_F(AgentTest, TrainerThatDoesNotExitAfterItsJobIsReplaced) {
  auto agent = StartRegistered();
  Assign(Order("succeed-hang"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  Assign(Order("succeed", 2));
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED, 2).has_value());
}

TEST_F(AgentTest, IdleTrainerThatDiesIsReplaced) {
  auto agent = StartRegistered();
  const std::vector<pid_t> trainers = ChildrenOf(::getpid());
  ASSERT_EQ(trainers.size(), 1u);
  ::kill(trainers[0], SIGKILL);
  Assign(Order("succeed"));
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  EXPECT_NE(ChildrenOf(::getpid()), trainers);
}

TEST_F(AgentTest, OrderThatATrainerTookToItsGraveGoesToTheNextOne) {
  auto agent = StartRegistered();
  Assign(Order("vanish-succeed"));
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  const auto lines = Lines();
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].sequence(), static_cast<int64_t>(i) + 1);
}

TEST_F(AgentTest, OrderThatKillsEveryTrainerIsACrash) {
  auto agent = StartRegistered();
  Assign(Order("unread"));
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->exit_code(), 1);
}

TEST_F(AgentTest, TrainersThatCannotLiveEndTheAgentWithTheirLastWords) {
  ::setenv("FAKE_TRAINER", "die", 1);
  auto agent = Start(Options());
  const absl::Status result = agent->Wait();
  EXPECT_EQ(result.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.message()), HasSubstr("slot cpu:0 is broken: 5 trainers died"));
  EXPECT_THAT(std::string(result.message()), HasSubstr("libmissing.so: no such file"));
}

TEST_F(AgentTest, WhoKillsTrainersThatWereReadyDoesNotBreakTheSlot) {
  Agent::Options options = Options();
  options.slot.quick_deaths = 1;
  auto agent = Start(options);
  ASSERT_TRUE(AwaitRegistration().has_value());  // so that it was ready
  const std::vector<pid_t> before = ChildrenOf(::getpid());
  ASSERT_EQ(before.size(), 1u);
  ::kill(before[0], SIGKILL);
  EXPECT_TRUE(Eventually([&] {
    const std::vector<pid_t> now = ChildrenOf(::getpid());
    return now.size() == 1 && now != before;
  }));
  Assign(Order("succeed"));
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
}

TEST_F(AgentTest, MissingTrainerProgramEndsTheAgentWithItsPath) {
  Agent::Options options = Options();
  options.slot.trainer.program = "/no/such/trainer";
  auto agent = Start(options);
  EXPECT_THAT(std::string(agent->Wait().message()), HasSubstr("/no/such/trainer"));
}

TEST_F(AgentTest, CoordinatorRestartFindsTheAssignmentAtWork) {
  auto agent = StartRegistered();
  Assign(Order("run", 3));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING, 3).has_value());
  const std::vector<pid_t> before = ChildrenOf(::getpid());
  StartCoordinator({.port = coordinator_->port()});
  auto registration = AwaitRegistration();
  ASSERT_TRUE(registration.has_value());
  ASSERT_EQ(registration->assignments_size(), 1);
  EXPECT_EQ(registration->assignments(0).state(), v1::ASSIGNMENT_STATE_RUNNING);
  EXPECT_EQ(registration->assignments(0).generation(), 3);
  EXPECT_EQ(ChildrenOf(::getpid()), before) << "the trainer went on";
  EXPECT_THAT(Metrics(), HasSubstr("lockstep_worker_reconnects_total 1"));
  SendStop(v1::Stop::MODE_CANCEL, 3);
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED, 3).has_value());
}

TEST_F(AgentTest, WhatHappensWhileTheCoordinatorIsAwayIsToldAfterwards) {
  auto agent = StartRegistered();
  Assign(Order("meet-flood-crash"));
  ASSERT_TRUE(coordinator_->Await([](const auto& request) { return request.has_rendezvous(); }).has_value());
  const int port = coordinator_->port();
  coordinator_.reset();
  const std::vector<pid_t> trainers = ChildrenOf(::getpid());
  ASSERT_EQ(trainers.size(), 1u);
  ::kill(trainers[0], SIGKILL);
  // The replacement shows that the agent has dealt with the end.
  ASSERT_TRUE(Eventually([&] {
    const auto now = ChildrenOf(::getpid());
    return now.size() == 1 && now != trainers;
  }));
  StartCoordinator({.port = port});
  ASSERT_TRUE(AwaitRegistration().has_value());
  auto crash = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_CRASHED);
  ASSERT_TRUE(crash.has_value());
  EXPECT_EQ(crash->signal(), SIGKILL);
  // Until it is forgotten it is repeated, then no more.
  StartCoordinator({.port = port});
  auto again = AwaitRegistration();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->assignments_size(), 1);
  Forget();
  Assign(Order("run", 2));  // behind it in the stream: when this runs, that is done
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING, 2).has_value());
  StartCoordinator({.port = port});
  auto last = AwaitRegistration();
  ASSERT_TRUE(last.has_value());
  ASSERT_EQ(last->assignments_size(), 1);
  EXPECT_EQ(last->assignments(0).generation(), 2);
  SendStop(v1::Stop::MODE_ABORT, 2);
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED, 2).has_value());
  for (const auto& message : coordinator_->All()) {
    EXPECT_NE(message.assignment().state(), v1::ASSIGNMENT_STATE_CRASHED) << "on disk there, and out of date";
  }
}

TEST_F(AgentTest, HiddenDatasetIsFetchedAndTheTrainerGetsTheCopy) {
  std::string bytes(50'000, 'x');
  StartCoordinator({.dataset_bytes = bytes});
  auto agent = StartRegistered();
  v1::Assignment order = Order("succeed");
  order.mutable_dataset()->set_path("/not/on/this/node.csv");
  order.mutable_dataset()->set_bytes(50'000);
  Assign(order);
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_SUCCEEDED).has_value());
  const std::string copy = folder_ + "/state/datasets/abc/data-node.csv";
  EXPECT_EQ(std::filesystem::file_size(copy), 50'000u);
  EXPECT_THAT(Metrics(), HasSubstr("lockstep_worker_dataset_fetched_bytes_total 50000"));
  EXPECT_THAT(Lines().at(0).text(), HasSubstr(copy)) << "the trainer gets the local path";
}

TEST_F(AgentTest, DatasetThatCannotBeFetchedFailsTheAssignment) {
  StartCoordinator({.dataset_bytes = "short"});
  auto agent = StartRegistered();
  v1::Assignment order = Order("succeed");
  order.mutable_dataset()->set_path("/not/on/this/node.csv");
  Assign(order);
  auto failed = coordinator_->AwaitState(v1::ASSIGNMENT_STATE_FAILED);
  ASSERT_TRUE(failed.has_value());
  EXPECT_THAT(failed->message(), HasSubstr("data@1"));
}

TEST_F(AgentTest, NameThatStaysTakenEndsTheAgentWithTheCoordinatorsWords) {
  StartCoordinator({.refusal = absl::AlreadyExistsError("a live worker is already named 'node'")});
  Agent::Options options = Options();
  options.name_taken_patience = absl::Milliseconds(300);
  auto agent = Start(options);
  const absl::Status result = agent->Wait();
  EXPECT_EQ(result.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(result.message()), HasSubstr("already named 'node'"));
}

TEST_F(AgentTest, NameThatBecomesFreeIsTaken) {
  const int port = coordinator_->port();
  StartCoordinator({.port = port, .refusal = absl::AlreadyExistsError("not timed out yet")});
  auto agent = Start(Options());
  ASSERT_TRUE(Eventually([&] { return ChildrenOf(::getpid()).size() == 1; }));
  StartCoordinator({.port = port});
  EXPECT_TRUE(AwaitRegistration().has_value());
}

TEST_F(AgentTest, DrainAsksForStopsAndEndsWhenTheyAreObeyed) {
  auto agent = StartRegistered();
  Assign(Order("run"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  (*agent)->Drain();
  ASSERT_TRUE(coordinator_->Await([](const auto& request) { return request.has_drain(); }).has_value());
  SendStop(v1::Stop::MODE_PAUSE);
  EXPECT_TRUE(agent->Wait().ok());
  EXPECT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_STOPPED).has_value()) << "told before it left";
  EXPECT_TRUE(ChildrenOf(::getpid()).empty());
}

TEST_F(AgentTest, DrainKillsWhatIsNotTakenAwayInTime) {
  Agent::Options options = Options();
  options.drain_timeout = absl::Milliseconds(50);
  auto agent = Start(options);
  ASSERT_TRUE(AwaitRegistration().has_value());
  Assign(Order("deaf"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  (*agent)->Drain();
  EXPECT_TRUE(agent->Wait().ok());
  EXPECT_TRUE(ChildrenOf(::getpid()).empty());
}

// The program itself, from outside.
class WorkerProgramTest : public AgentTest {
 protected:
  std::unique_ptr<Child> Spawn(std::vector<std::pair<int, int>> fds) {
    Child::Options child;
    child.argv = {WORKER_PATH,
                  "--coordinator",
                  coordinator_->address(),
                  "--name",
                  "node",
                  "--cpu-slots",
                  "2",
                  "--data-dir",
                  folder_ + "/state",
                  "--metrics-listen",
                  "127.0.0.1:0",
                  "--trainer",
                  FAKE_TRAINER_PATH,
                  "--ready-fd",
                  "5"};
    child.fds = std::move(fds);
    auto spawned = Child::Spawn(child);
    EXPECT_TRUE(spawned.ok()) << spawned.status();
    return *std::move(spawned);
  }
};

TEST_F(WorkerProgramTest, SaysReadyServesMetricsAndLeavesNoTrainerWhenKilled) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  auto worker = Spawn({{ready[1], 5}});
  ::close(ready[1]);
  std::string said;
  char buffer[256];
  for (ssize_t got; (got = ::read(ready[0], buffer, sizeof(buffer))) > 0;)
    said.append(buffer, static_cast<size_t>(got));
  ::close(ready[0]);
  ASSERT_THAT(said, ::testing::MatchesRegex("ready metrics=127\\.0\\.0\\.1:[0-9]+\n"));
  const std::string page = ScrapeForTest(std::stoi(said.substr(said.rfind(':') + 1)));
  EXPECT_THAT(page, HasSubstr("lockstep_worker_slots 2"));
  EXPECT_THAT(page, HasSubstr("lockstep_worker_connected 1"));
  EXPECT_EQ(CheckWithPromtool(page), "");

  // One trainer at work that ignores its control channel's end for as long as it likes: it is stopped.
  Assign(Order("deaf"));
  ASSERT_TRUE(coordinator_->AwaitState(v1::ASSIGNMENT_STATE_RUNNING).has_value());
  const std::vector<pid_t> trainers = ChildrenOf(worker->pid());
  ASSERT_EQ(trainers.size(), 2u);
  for (pid_t trainer : trainers) ::kill(trainer, SIGSTOP);
  worker->Signal(SIGKILL).IgnoreError();
  worker->Wait();
  for (pid_t trainer : trainers) {
    EXPECT_TRUE(Eventually([&] {
      std::ifstream stat("/proc/" + std::to_string(trainer) + "/stat");
      std::string line;
      return !std::getline(stat, line) || line.find(") Z ") != std::string::npos;
    })) << "trainer "
        << trainer << " outlived its agent";
  }
}

TEST_F(WorkerProgramTest, SigtermDrainsAndExitsWithZero) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  auto worker = Spawn({{ready[1], 5}});
  ::close(ready[1]);
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  worker->Signal(SIGTERM).IgnoreError();
  EXPECT_TRUE(coordinator_->Await([](const auto& request) { return request.has_drain(); }).has_value());
  const auto exit = worker->TryWait(absl::Seconds(20));
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 0);
  EXPECT_EQ(exit->signal, 0);
}

}  // namespace
}  // namespace lockstep
