#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/app.h"
#include "client/cli/errors.h"
#include "client/cli/exit_codes.h"
#include "client/cli/run_plan.h"
#include "client/cli/wait_condition.h"
#include "client/testing/fake_coordinator.h"
#include "common/base/folder_for_test.h"
#include "common/process/child.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kSpec[] =
    "name: digits\ndataset: { path: d.csv, label: y }\nmodel: { mlp: { hidden: [8] } }\n";

std::string Content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Result {
  int code = -1;
  std::string out, err;
};

class CliTest : public ::testing::Test {
 protected:
  CliTest() : folder_(FolderForTest("cli")) { std::ofstream(folder_ + "/spec.yaml") << kSpec; }

  // Runs the program in this process against the fake.
  Result Lockstep(std::vector<std::string> arguments) {
    std::ostringstream out, err;
    Environment environment;
    environment.out = &out;
    environment.err = &err;
    environment.variable = [this](const char* name) { return variables_[name]; };
    variables_.try_emplace("LOCKSTEP_COORDINATOR", fake_.address());
    Result result;
    result.code = RunApp(arguments, environment, [this](Session* session) {
      const std::lock_guard lock(mutex_);
      session_ = session;
    });
    result.out = out.str();
    result.err = err.str();
    return result;
  }

  // As Ctrl-C does.
  void Interrupt() {
    const std::lock_guard lock(mutex_);
    if (session_ != nullptr) session_->Interrupt();
  }

  std::string Spec() const { return folder_ + "/spec.yaml"; }

  FakeCoordinator fake_;
  const std::string folder_;
  std::map<std::string, std::string> variables_;

 private:
  std::mutex mutex_;
  Session* session_ = nullptr;
};

TEST_F(CliTest, WaitReturnsHowTheJobEnded) {
  fake_.AddJob("good", {FakeJob("good", v1::JOB_STATE_SUCCEEDED)});
  fake_.AddJob("bad", {FakeJob("bad", v1::JOB_STATE_FAILED, "NaN loss at step 12")});
  fake_.AddJob("gone", {FakeJob("gone", v1::JOB_STATE_CANCELLED)});
  EXPECT_EQ(Lockstep({"wait", "good"}).code, kExitSucceeded);
  const Result bad = Lockstep({"wait", "bad"});
  EXPECT_EQ(bad.code, kExitFailed);
  EXPECT_EQ(bad.out, "failed\n");
  EXPECT_THAT(bad.err, HasSubstr("NaN loss at step 12"));
  EXPECT_EQ(Lockstep({"wait", "gone"}).code, kExitCancelled);
  EXPECT_EQ(Lockstep({"wait", "gone", "--for", "succeeded"}).code, kExitCancelled);
  EXPECT_EQ(Lockstep({"wait", "bad", "--for", "failed"}).code, kExitSucceeded);
  EXPECT_EQ(Lockstep({"wait", "good", "--for", "paused"}).code, kExitFailed);
}

TEST_F(CliTest, WaitGivesUpAfterItsTimeout) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  EXPECT_EQ(Lockstep({"wait", "j1", "--timeout", "50ms"}).code, kExitNotFinished);
  EXPECT_EQ(Lockstep({"wait", "j1", "--for", "running", "--timeout", "1m"}).code, kExitSucceeded);
}

TEST_F(CliTest, ScaleSaysOnHowManyWorkersTheJobIsToRun) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  const Result result = Lockstep({"scale", "j1", "--workers", "3"});
  EXPECT_EQ(result.code, kExitSucceeded);
  EXPECT_EQ(result.out, "running\n");
  EXPECT_THAT(result.err, HasSubstr("it is to run on 3 workers"));
  EXPECT_EQ(Lockstep({"scale", "j1"}).code, kExitUsage);
  EXPECT_EQ(Lockstep({"scale", "j1", "--workers", "0"}).code, kExitUsage);
  EXPECT_EQ(Lockstep({"scale", "nobody", "--workers", "1"}).code, kExitNotFound);
}

TEST_F(CliTest, UnknownJobsAreNotFound) {
  for (const char* command : {"describe", "logs", "wait", "cancel", "pause", "plot", "download"}) {
    const Result result = Lockstep({command, "nobody"});
    EXPECT_EQ(result.code, kExitNotFound) << command;
    EXPECT_EQ(result.out, "") << command;
    EXPECT_THAT(result.err,
                AllOf(StartsWith("error: there is no job 'nobody'\n"), HasSubstr("hint: `lockstep jobs`")));
  }
}

TEST_F(CliTest, WrongUsageGoesToStderrWithAHint) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"frobnicate"},
                                                       {"describe"},
                                                       {"jobs", "--frobnicate"},
                                                       {"wait"},
                                                       {"jobs", "-o", "xml"},
                                                       {"completion"},
                                                       {"wait", "j", "--timeout", "soon"},
                                                       {"jobs", "--coordinator", "no-port"},
                                                       {"wait", "j", "--for", "godot"},
                                                       {"run", Spec(), "--workers", "0"},
                                                       {"submit", Spec(), "--set", "train.epohcs=1"},
                                                       {"jobs", "--state", "bored"}};
  for (const auto& arguments : wrong) {
    const Result result = Lockstep(arguments);
    EXPECT_EQ(result.code, kExitUsage) << ::testing::PrintToString(arguments) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("error: "));
  }
  EXPECT_THAT(Lockstep({"jbos"}).err, HasSubstr("did you mean `lockstep jobs`?"));
}

TEST_F(CliTest, EveryHelpHasExamplesOfItsCommand) {
  const Result help = Lockstep({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"run",      "submit", "jobs",      "describe", "logs",        "plot",     "wait",   "cancel",
        "pause",    "scale",  "resume",    "delete",   "checkpoints", "download", "models", "datasets",
        "generate", "export", "tokenizer", "workers",  "completion",  "version"}) {
    EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + command + " "));
    const Result result = Lockstep({command, "--help"});
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out, HasSubstr(std::string("Examples:\n  lockstep ") + command));
  }
  EXPECT_THAT(Lockstep({"datasets", "register", "--help"}).out, HasSubstr("--column NAME=TYPE"));
}

TEST_F(CliTest, SubmitPrintsTheIdAlone) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED)});
  fake_.SubmitMakes("j1");
  const Result result = Lockstep(
      {"submit", Spec(), "--set", "train.epochs=5", "--set", "model.mlp.hidden=[7, 9]", "--set", "seed=3"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "j1\n");
  const auto submits = fake_.submits();
  ASSERT_EQ(submits.size(), 1u);
  EXPECT_EQ(submits[0].spec().train().epochs(), 5);
  EXPECT_EQ(submits[0].spec().model().mlp().hidden_size(), 2);
  EXPECT_EQ(submits[0].spec().seed(), 3u);
  EXPECT_EQ(submits[0].spec().dataset().path(), folder_ + "/d.csv");
  EXPECT_EQ(submits[0].request_id().size(), 32u);
  EXPECT_EQ(Lockstep({"submit", Spec(), "--request-id", "mine"}).code, 0);
  EXPECT_EQ(fake_.submits()[1].request_id(), "mine");
}

TEST_F(CliTest, ABadSpecIsNotSubmitted) {
  std::ofstream(Spec()) << "name: x\ntrian: {}\n";
  Result result = Lockstep({"submit", Spec()});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("spec.yaml:2: trian: unknown field; did you mean 'train'?"));
  std::ofstream(Spec()) << kSpec << "train: { epochs: 0 }\n";
  result = Lockstep({"submit", Spec()});
  EXPECT_THAT(result.err, HasSubstr("spec.yaml: train.epochs: expected an integer from 1"));
  EXPECT_EQ(Lockstep({"submit", folder_ + "/absent.yaml"}).code, kExitNotFound);
  EXPECT_EQ(fake_.calls(), 0);
}

TEST_F(CliTest, FollowingTellsOnStderrAndEndsWithTheJobsCode) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED), FakeJob("j1", v1::JOB_STATE_RUNNING),
                      FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  fake_.SubmitMakes("j1");
  Result result = Lockstep({"submit", "--follow", Spec()});
  EXPECT_EQ(result.code, kExitSucceeded);
  EXPECT_THAT(result.err, AllOf(HasSubstr("is queued"), HasSubstr("step 72/440"), HasSubstr("(j1) succeeded"),
                                Not(HasSubstr("\r")), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(result.out, HasSubstr("test accuracy  0.9750"));
  result = Lockstep({"submit", "--follow", Spec(), "-o", "json"});
  EXPECT_THAT(result.out, AllOf(StartsWith("{"), HasSubstr("\"state\": \"JOB_STATE_SUCCEEDED\"")));
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED), FakeJob("j1", v1::JOB_STATE_FAILED, "why")});
  EXPECT_EQ(Lockstep({"submit", "--follow", Spec()}).code, kExitFailed);
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED), FakeJob("j1", v1::JOB_STATE_CANCELLED)});
  EXPECT_EQ(Lockstep({"submit", "--follow", Spec()}).code, kExitCancelled);
}

TEST_F(CliTest, AnInterruptedFollowerLeavesTheJobAlone) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  fake_.SubmitMakes("j1");
  fake_.OnWatchDrained([this] { Interrupt(); });
  const Result result = Lockstep({"submit", "--follow", Spec()});
  EXPECT_EQ(result.code, kExitNotFinished);
  EXPECT_THAT(result.err, HasSubstr("the job goes on"));
  EXPECT_EQ(fake_.cancels(), 0);
}

TEST_F(CliTest, AnAbsentCoordinatorIsAwaitedThenReported) {
  {
    const FakeCoordinator gone;
    variables_["LOCKSTEP_COORDINATOR"] = gone.address();
  }
  const Result result = Lockstep({"jobs", "--connect-timeout", "400ms"});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_EQ(result.out, "");
  const std::string address = variables_["LOCKSTEP_COORDINATOR"];
  EXPECT_THAT(result.err,
              AllOf(StartsWith("waiting for the coordinator at " + address + " ...\nerror: no coordinator"),
                    HasSubstr("hint: is lockstep-coordinator running?"), Not(HasSubstr("UNAVAILABLE"))));
}

TEST_F(CliTest, SteeringSaysWhatItDid) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  const Result result = Lockstep({"cancel", "j1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "running\n");
  EXPECT_EQ(fake_.cancels(), 1);
}

TEST_F(CliTest, DeleteGoesThroughAllJobsAndFailsIfOneIsNotThere) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  fake_.AddJob("j2", {FakeJob("j2", v1::JOB_STATE_FAILED)});
  const Result result = Lockstep({"delete", "j1", "nobody", "j2"});
  EXPECT_EQ(result.code, kExitNotFound);
  EXPECT_EQ(result.out, "j1\nj2\n");
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("(j1) is deleted, 3.0 MiB"), HasSubstr("there is no job 'nobody'")));
  EXPECT_EQ(Lockstep({"describe", "j2"}).code, kExitNotFound);
  fake_.AddJob("j3", {FakeJob("j3", v1::JOB_STATE_SUCCEEDED)});
  EXPECT_THAT(Lockstep({"delete", "j3", "--keep-model"}).err, HasSubstr("1.0 MiB"));
  EXPECT_EQ(Lockstep({"delete"}).code, kExitUsage);
}

TEST_F(CliTest, JobsAndVersionHaveEveryFormat) {
  fake_.AddJob("a", {FakeJob("a", v1::JOB_STATE_RUNNING)});
  fake_.AddJob("b", {FakeJob("b", v1::JOB_STATE_SUCCEEDED)});
  EXPECT_THAT(Lockstep({"jobs"}).out,
              AllOf(StartsWith("ID  NAME"), HasSubstr("\na   digits"), HasSubstr("\nb   digits")));
  EXPECT_THAT(Lockstep({"jobs", "-o", "json"}).out, StartsWith("{\n \"jobs\": ["));
  EXPECT_THAT(Lockstep({"-o", "yaml", "jobs"}).out, StartsWith("jobs:\n  - id: a\n"));
  EXPECT_THAT(Lockstep({"version"}).out, StartsWith("lockstep "));
  EXPECT_THAT(Lockstep({"version", "-o", "json"}).out, StartsWith("{\"version\": \""));
}

TEST_F(CliTest, LogsAreOneLineEachInEveryFormat) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  v1::LogLine first, second;
  first.set_text("one");
  second.set_text("two");
  second.set_sequence(1);
  fake_.AddLogs({first, second});
  const std::string text = Lockstep({"logs", "-f", "j1"}).out;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  const std::string json = Lockstep({"logs", "j1", "-o", "json"}).out;
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 2) << json;
}

TEST_F(CliTest, PlotDrawsTheLosses) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  std::vector<v1::MetricPoint> points(5);
  for (size_t i = 0; i < points.size(); ++i) {
    points[i].set_epoch(static_cast<double>(i));
    (*points[i].mutable_values())["train/loss"] = 5.0 / (1.0 + static_cast<double>(i));
  }
  fake_.AddMetrics(points);
  const Result result = Lockstep({"plot", "j1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("train/loss (last 1)"), HasSubstr("epoch"), Not(HasSubstr("\xE2"))));
  variables_["LANG"] = "C.UTF-8";
  EXPECT_THAT(Lockstep({"plot", "j1"}).out, HasSubstr("└"));
  EXPECT_THAT(Lockstep({"plot", "j1", "--ascii"}).out, Not(HasSubstr("└")));
  EXPECT_THAT(Lockstep({"plot", "j1", "--metric", "validation/f1"}).err, HasSubstr("nothing to draw"));
}

TEST_F(CliTest, DownloadPrintsTheFolder) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  v1::DownloadModelResponse chunk;
  chunk.set_file("model.safetensors");
  chunk.set_size(3);
  chunk.set_data("abc");
  fake_.SetDownload({chunk});
  const Result result = Lockstep({"download", "j1", "--output", folder_ + "/model"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, folder_ + "/model\n");
  EXPECT_EQ(Content(folder_ + "/model/model.safetensors"), "abc");
}

TEST_F(CliTest, CompletionsNameCommandsOptionsAndChoices) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Result result = Lockstep({"completion", shell});
    EXPECT_EQ(result.code, 0);
    for (const char* word : {"checkpoints", "register", "connect-timeout", "table json yaml", "request-id"}) {
      EXPECT_THAT(result.out, HasSubstr(word)) << shell;
    }
  }
}

// `lockstep run` with shell scripts in the place of the daemons; the coordinator's script points at the fake.
class RunTest : public CliTest {
 protected:
  RunTest() {
    std::filesystem::create_directories(folder_ + "/bin");
    std::filesystem::create_directories(folder_ + "/tmp");
    variables_["LOCKSTEP_BIN_DIR"] = folder_ + "/bin";
    variables_["TMPDIR"] = folder_ + "/tmp";
    Script("lockstep-coordinator", "echo \"grpc=" + fake_.address() + " metrics=x\" >&3; exec sleep 600");
    Script("lockstep-worker", "exec sleep 600");
    fake_.SubmitMakes("j1");
  }

  void Script(const std::string& program, const std::string& body) {
    const std::string path = folder_ + "/bin/" + program;
    // The pid comes last: who sees it sees the arguments as well.
    std::ofstream(path) << "#!/bin/sh\necho \"$@\" >>" << folder_ << "/arguments\necho $$ >>" << folder_
                        << "/pids\n"
                        << body << "\n";
    ::chmod(path.c_str(), 0700);
  }

  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    for (absl::string_view line : absl::StrSplit(Content(folder_ + "/pids"), '\n', absl::SkipEmpty())) {
      pids.push_back(std::stoi(std::string(line)));
    }
    return pids;
  }

  void ExpectNothingLeft() {
    for (const pid_t pid : Pids()) EXPECT_NE(::kill(pid, 0), 0) << pid << " lives";
    EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/tmp"));
  }
};

TEST_F(RunTest, ASuccessLeavesTheModelAndNothingElse) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  fake_.OnWatchDrained([this] {  // the job ends when both workers have noted what they were called with
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (Pids().size() < 3 && absl::Now() < give_up) std::this_thread::yield();
    fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING), FakeJob("j1", v1::JOB_STATE_SUCCEEDED)});
  });
  v1::DownloadModelResponse chunk;
  chunk.set_file("model.safetensors");
  chunk.set_size(3);
  chunk.set_data("abc");
  fake_.SetDownload({chunk});
  const Result result = Lockstep({"run", Spec(), "--workers", "2", "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitSucceeded) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("test accuracy  0.9750"), HasSubstr("model  " + folder_ + "/out\n")));
  EXPECT_EQ(Content(folder_ + "/out/model.safetensors"), "abc");
  ASSERT_EQ(fake_.submits().size(), 1u);
  EXPECT_EQ(fake_.submits()[0].spec().workers().min(), 2);
  EXPECT_EQ(fake_.submits()[0].spec().workers().max(), 2);
  EXPECT_THAT(Content(folder_ + "/arguments"),
              HasSubstr("--coordinator " + fake_.address() + " --name worker-"));
  ExpectNothingLeft();
}

TEST_F(RunTest, AFailedJobIsReportedAndNothingIsLeft) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_FAILED, "NaN loss at step 3")});
  const Result result = Lockstep({"run", Spec(), "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitFailed);
  EXPECT_THAT(result.out, HasSubstr("NaN loss at step 3"));
  ExpectNothingLeft();
}

TEST_F(RunTest, AnInterruptionCancelsPolitely) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  fake_.OnWatchDrained([this] {
    if (fake_.cancels() == 0) Interrupt();
  });
  const Result result = Lockstep({"run", Spec(), "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitCancelled) << result.err;
  EXPECT_EQ(fake_.cancels(), 1);
  EXPECT_THAT(result.err, HasSubstr("was cancelled"));
  ExpectNothingLeft();
}

TEST_F(RunTest, AWorkersDeathEndsTheRunWithItsLastWords) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_QUEUED)});
  Script("lockstep-worker", "echo no devices for me >&2; exit 7");
  const Result result = Lockstep({"run", Spec(), "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("lockstep-worker-1 died with exit code 7"), HasSubstr("no devices for me")));
  ExpectNothingLeft();
}

TEST_F(RunTest, ACoordinatorThatDoesNotStartIsQuoted) {
  Script("lockstep-coordinator", "echo the disk is full >&2; kill -9 $$");
  const Result result = Lockstep({"run", Spec(), "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("lockstep-coordinator died with signal 9"), HasSubstr("the disk is full")));
  ExpectNothingLeft();
}

TEST_F(RunTest, AbsentProgramsAndBadSpecsStopItBeforeAnythingStarts) {
  std::filesystem::remove(folder_ + "/bin/lockstep-worker");
  Result result = Lockstep({"run", Spec(), "--output", folder_ + "/out"});
  EXPECT_EQ(result.code, kExitError);
  EXPECT_THAT(result.err, HasSubstr("lockstep-worker was not found in " + folder_ + "/bin"));
  result = Lockstep({"run", Spec(), "--workers", "9"});
  EXPECT_THAT(result.err, HasSubstr("a logical shard is the unit of work"));
  EXPECT_TRUE(Pids().empty());
}

TEST_F(RunTest, ChildrenDieWithAKilledClient) {
  fake_.AddJob("j1", {FakeJob("j1", v1::JOB_STATE_RUNNING)});
  std::mutex mutex;
  std::condition_variable changed;
  bool watched = false;
  fake_.OnWatchDrained([&] {
    const std::lock_guard lock(mutex);
    watched = true;
    changed.notify_all();
  });
  Child::Options options;
  options.argv = {LOCKSTEP_PROGRAM, "run", Spec(), "--workers", "2", "--output", folder_ + "/out"};
  options.env = {{"LOCKSTEP_BIN_DIR", folder_ + "/bin"}, {"TMPDIR", folder_ + "/tmp"}};
  auto client = Child::Spawn(options);
  ASSERT_TRUE(client.ok()) << client.status();
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return watched; }));
  }
  std::vector<int> pidfds;
  // The workers' scripts note their pids as soon as they run.
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (Pids().size() < 3 && absl::Now() < give_up) std::this_thread::yield();
  ASSERT_EQ(Pids().size(), 3u);
  for (const pid_t pid : Pids()) pidfds.push_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE((*client)->Signal(SIGKILL).ok());
  (*client)->Wait();
  for (const int fd : pidfds) {
    if (fd < 0) continue;  // already gone
    pollfd entry = {fd, POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 10000), 1) << "a child outlived the client";
    ::close(fd);
  }
}

TEST(PlanRun, WorkersFollowSpecProcessorsAndFlags) {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path("a");
  spec.mutable_model()->mutable_softmax();
  spec.mutable_workers()->set_min(1);
  spec.mutable_workers()->set_max(4);
  EXPECT_EQ(PlanRun(spec, {}, 0, 2)->workers, 2);
  EXPECT_EQ(PlanRun(spec, {}, 0, 64)->workers, 4);
  EXPECT_EQ(PlanRun(spec, {}, 3, 2)->workers, 3);
  EXPECT_EQ(PlanRun(spec, {}, 3, 2)->spec.workers().min(), 3);
  const auto ranges = PlanRun(spec, {"workers.max=4"}, 2, 2);
  EXPECT_EQ(ranges->workers, 2);
  EXPECT_EQ(ranges->spec.workers().max(), 4);
  spec.mutable_workers()->set_min(3);
  EXPECT_EQ(PlanRun(spec, {}, 0, 2)->workers, 3);
  EXPECT_THAT(std::string(PlanRun(spec, {"workers.min=3"}, 2, 2).status().message()),
              HasSubstr("--workers 2: the job needs at least workers.min (3)"));
}

TEST(JudgeWait, StatesOnTheWayAreMetByThosePastThem) {
  v1::Job job = FakeJob("j", v1::JOB_STATE_QUEUED);
  EXPECT_EQ(JudgeWait(job, "queued"), WaitVerdict::kMet);
  EXPECT_EQ(JudgeWait(job, "running"), WaitVerdict::kPending);
  EXPECT_EQ(JudgeWait(job, "final"), WaitVerdict::kPending);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(JudgeWait(job, "running"), WaitVerdict::kImpossible) << "it never made a step";
  job.mutable_started_at()->set_seconds(1);
  EXPECT_EQ(JudgeWait(job, "running"), WaitVerdict::kMet);
  EXPECT_EQ(JudgeWait(job, "first-step"), WaitVerdict::kMet);
  EXPECT_EQ(JudgeWait(job, "final"), WaitVerdict::kMet);
  EXPECT_EQ(JudgeWait(job, "failed"), WaitVerdict::kImpossible);
  job.set_state(v1::JOB_STATE_QUEUED);
  EXPECT_EQ(JudgeWait(job, "running"), WaitVerdict::kPending) << "it was resumed";
  EXPECT_EQ(JudgeWait(job, "first-step"), WaitVerdict::kMet);
  EXPECT_TRUE(CheckCondition("paused").ok());
  EXPECT_THAT(std::string(CheckCondition("runing").message()), HasSubstr("did you mean 'running'?"));
}

TEST(ErrorText, OversizedMessagesAreCalledThat) {
  const std::string text =
      ErrorText(absl::ResourceExhaustedError("Sent message larger than max (17000000 vs. 16777216)"),
                GlobalOptions(), Style());
  EXPECT_THAT(text,
              AllOf(HasSubstr("over the size limit"), HasSubstr("hint: a message is limited to 16 MiB")));
}

}  // namespace
}  // namespace lockstep
