#include "common/process/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(fds[0]);
    CloseWriter();
  }
  void CloseWriter() {
    if (fds[1] >= 0) ::close(fds[1]);
    fds[1] = -1;
  }
  // What was written until every writer is gone.
  std::string ReadAll() {
    CloseWriter();
    std::string all;
    char buffer[4096];
    ssize_t got;
    while ((got = ::read(fds[0], buffer, sizeof(buffer))) > 0) all.append(buffer, static_cast<size_t>(got));
    return all;
  }
  int fds[2];
};

Child::Options Shell(const std::string& script) {
  Child::Options options;
  options.argv = {"/bin/sh", "-c", script};
  return options;
}

TEST(ChildTest, ExitCodeIsReported) {
  auto child = Child::Spawn(Shell("exit 3"));
  ASSERT_TRUE(child.ok()) << child.status();
  const ExitStatus status = (*child)->Wait();
  EXPECT_EQ(status.code, 3);
  EXPECT_EQ(status.signal, 0);
  EXPECT_EQ(status.ToString(), "exit code 3");
}

TEST(ChildTest, KillingSignalIsReportedByName) {
  auto child = Child::Spawn(Shell("kill -SEGV $$"));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ((*child)->Wait().ToString(), "signal 11 (SIGSEGV)");
}

TEST(ChildTest, MissingProgramIsNotFoundAndNamed) {
  Child::Options options;
  options.argv = {"/no/such/program"};
  auto child = Child::Spawn(options);
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(child.status().message()), HasSubstr("/no/such/program"));
}

TEST(ChildTest, FileThatIsNotExecutableIsPermissionDenied) {
  Child::Options options;
  options.argv = {"/etc/passwd"};
  EXPECT_EQ(Child::Spawn(options).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(ChildTest, DescriptorsThatSwapPlacesArriveRight) {
  Pipe three, four;
  Child::Options options = Shell("echo to-3 >&3; echo to-4 >&4");
  // The lower descriptor goes to the higher number's place and the other way round.
  options.fds = {{three.fds[1], 3}, {four.fds[1], 4}};
  if (three.fds[1] < four.fds[1]) std::swap(options.fds[0], options.fds[1]);
  auto child = Child::Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(three.ReadAll(), "to-3\n");
  EXPECT_EQ(four.ReadAll(), "to-4\n");
}

TEST(ChildTest, SourceEqualToItsTargetIsInherited) {
  Pipe pipe;
  Child::Options options = Shell("echo hello >&" + std::to_string(pipe.fds[1]));
  options.fds = {{pipe.fds[1], pipe.fds[1]}};
  auto child = Child::Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(pipe.ReadAll(), "hello\n");
}

TEST(ChildTest, OtherDescriptorsAreNotInherited) {
  Pipe leak, out;
  ::fcntl(leak.fds[1], F_SETFD, 0);  // not close-on-exec, as a careless library would leave it
  Child::Options options = Shell("ls /proc/self/fd | wc -l");
  options.fds = {{out.fds[1], 1}};
  auto child = Child::Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(out.ReadAll(), "4\n");  // 0, 1, 2 and the one that ls reads the folder with
}

TEST(ChildTest, EnvironmentIsAddedAndReplaced) {
  ::setenv("LOCKSTEP_CHILD_TEST", "old", 1);
  Pipe out;
  Child::Options options = Shell("echo $LOCKSTEP_CHILD_TEST $LOCKSTEP_CHILD_NEW; test -n \"$PATH\"");
  options.env = {{"LOCKSTEP_CHILD_TEST", "replaced"}, {"LOCKSTEP_CHILD_NEW", "new"}};
  options.fds = {{out.fds[1], 1}};
  auto child = Child::Spawn(options);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(out.ReadAll(), "replaced new\n");
  EXPECT_TRUE((*child)->Wait().ok());
}

TEST(ChildTest, BlockedAndIgnoredSignalsOfTheParentReachTheChild) {
  sigset_t term, old;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, &old);
  auto before = ::signal(SIGTERM, SIG_IGN);
  auto child = Child::Spawn(Shell("kill -TERM $$; exit 0"));
  ::signal(SIGTERM, before);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ((*child)->Wait().signal, SIGTERM);
}

TEST(ChildTest, RunningChildIsNotWaitedForAndPidfdTellsItsEnd) {
  auto child = Child::Spawn(Shell("exec sleep 1000"));
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_FALSE((*child)->TryWait().has_value());
  EXPECT_TRUE((*child)->Signal(SIGKILL).ok());
  pollfd entry = {(*child)->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
  EXPECT_EQ((*child)->Wait().signal, SIGKILL);
  EXPECT_EQ((*child)->Signal(SIGKILL).code(), absl::StatusCode::kNotFound);
}

TEST(ChildTest, DroppedChildIsKilledAndReaped) {
  pid_t pid;
  {
    auto child = Child::Spawn(Shell("exec sleep 1000"));
    ASSERT_TRUE(child.ok()) << child.status();
    pid = (*child)->pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(ChildTest, ChildDiesWithTheThreadThatSpawnedIt) {
  std::unique_ptr<Child> child;
  std::thread spawner([&] {
    Child::Options options = Shell("exec sleep 1000");
    options.parent_death_signal = SIGKILL;
    auto spawned = Child::Spawn(options);
    ASSERT_TRUE(spawned.ok()) << spawned.status();
    child = *std::move(spawned);
  });
  spawner.join();
  const auto status = child->TryWait(absl::Seconds(10));
  ASSERT_TRUE(status.has_value()) << "it outlived its parent thread";
  EXPECT_EQ(status->signal, SIGKILL);
}

}  // namespace
}  // namespace lockstep
