#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/base/folder_for_test.h"
#include "coordinator/daemon/data_directory.h"
#include "coordinator/daemon/flags.h"
#include "coordinator/daemon/ready.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

std::string FreshFolder() { return FolderForTest("daemon"); }

std::variant<CoordinatorFlags, Exit> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "lockstep-coordinator");
  return ParseFlags(static_cast<int>(arguments.size()), arguments.data());
}

TEST(Flags, ArtifactsLieInTheDataFolderUnlessSaidOtherwise) {
  const auto parsed = Parse({"--data-dir", "/srv/a/../b"});
  ASSERT_TRUE(std::holds_alternative<CoordinatorFlags>(parsed));
  EXPECT_EQ(std::get<CoordinatorFlags>(parsed).data_dir, "/srv/b");
  EXPECT_EQ(std::get<CoordinatorFlags>(parsed).artifact_root, "/srv/b/artifacts");
}

TEST(Flags, RelativeFoldersBecomeAbsolute) {
  const auto parsed = Parse({"--data-dir", "state", "--artifact-root", "artifacts"});
  ASSERT_TRUE(std::holds_alternative<CoordinatorFlags>(parsed));
  EXPECT_EQ(std::get<CoordinatorFlags>(parsed).data_dir, std::filesystem::current_path() / "state");
  EXPECT_EQ(std::get<CoordinatorFlags>(parsed).artifact_root, std::filesystem::current_path() / "artifacts");
}

TEST(Flags, AutoscalingHasAFloorAndACeiling) {
  const auto parsed = Parse({"--autoscale", "kubernetes", "--autoscale-min", "2", "--autoscale-max", "9",
                             "--tensorboard-dir", "board"});
  ASSERT_TRUE(std::holds_alternative<CoordinatorFlags>(parsed));
  const auto& flags = std::get<CoordinatorFlags>(parsed);
  EXPECT_EQ(flags.autoscale.limits.floor, 2);
  EXPECT_EQ(flags.autoscale.limits.ceiling, 9);
  EXPECT_EQ(flags.tracking.tensorboard_dir, std::filesystem::current_path() / "board");
  EXPECT_TRUE(std::holds_alternative<Exit>(
      Parse({"--autoscale", "kubernetes", "--autoscale-min", "3", "--autoscale-max", "2"})));
}

TEST(Flags, HelpAndVersionGoToStdoutAndSucceed) {
  const auto help = Parse({"--help"});
  ASSERT_TRUE(std::holds_alternative<Exit>(help));
  EXPECT_EQ(std::get<Exit>(help).code, 0);
  EXPECT_THAT(std::get<Exit>(help).out, HasSubstr("Examples:"));
  EXPECT_EQ(std::get<Exit>(help).err, "");
  const auto version = Parse({"--version"});
  ASSERT_TRUE(std::holds_alternative<Exit>(version));
  EXPECT_THAT(std::get<Exit>(version).out, HasSubstr("lockstep-coordinator 0."));
}

TEST(Flags, PrintMetricsListsThoseOfEveryDaemonAndItsOwn) {
  const auto parsed = Parse({"--print-metrics"});
  ASSERT_TRUE(std::holds_alternative<Exit>(parsed));
  EXPECT_EQ(std::get<Exit>(parsed).code, 0);
  EXPECT_THAT(std::get<Exit>(parsed).out, HasSubstr("| `process_open_fds` | gauge |"));
  EXPECT_THAT(std::get<Exit>(parsed).out, HasSubstr("| `lockstep_jobs` | gauge | jobs | `state` |"));
}

TEST(Flags, WrongUsageExitsWithTwoAndSaysWhatIsWrong) {
  for (const auto& [arguments, expected] : std::vector<std::pair<std::vector<const char*>, const char*>>{
           {{"--listen", "7070"}, "HOST:PORT"},
           {{"--no-such-flag"}, "--no-such-flag"},
           {{"--ready-fd", "1"}, "--ready-fd"},
           {{"--log-level", "loud"}, "--log-level"},
           {{"--worker-timeout", "5"}, "write it like 200ms or 2s"},
           {{"--mlflow", "localhost:5000"}, "--mlflow: expected http://HOST:PORT"},
           {{"--autoscale", "nomad"}, "expected kubernetes"},
           {{"--autoscale", "kubernetes"}, "--autoscale-max"},
           {{"--worker-timeout", "300ms"}, "--heartbeat-interval"}}) {
    const auto parsed = Parse(arguments);
    ASSERT_TRUE(std::holds_alternative<Exit>(parsed)) << arguments[0];
    EXPECT_EQ(std::get<Exit>(parsed).code, 2);
    EXPECT_THAT(std::get<Exit>(parsed).err, HasSubstr(expected));
  }
}

TEST(Exposure, AddressThatOthersCanReachNeedsInsecure) {
  CoordinatorFlags flags;
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags.listen = "0.0.0.0:7070";
  const absl::Status status = CheckExposure(flags);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--insecure"));
  flags.insecure = true;
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags = CoordinatorFlags();
  flags.metrics.listen = "0.0.0.0:7071";
  EXPECT_FALSE(CheckExposure(flags).ok());
  flags.metrics.listen = "";
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags.http_listen = "0.0.0.0:7073";
  EXPECT_FALSE(CheckExposure(flags).ok());
}

TEST(Exposure, TokensAreNeededWhereOthersReachTheApiByTls) {
  CoordinatorFlags flags;
  EXPECT_FALSE(NeedsTokens(flags));
  flags.auth = true;
  EXPECT_TRUE(NeedsTokens(flags));
  flags.auth = false;
  flags.listen = "0.0.0.0:7070";
  flags.insecure = true;
  EXPECT_FALSE(NeedsTokens(flags));  // on a network that is trusted
  flags.tls.cert = "c.pem";
  EXPECT_TRUE(NeedsTokens(flags));  // --insecure is then for /metrics alone
}

TEST(Exposure, OffLoopbackThePageHasTheCertificateOfTheApiUnlessItHasItsOwn) {
  CoordinatorFlags flags;
  flags.tls = {.ca = "ca.pem", .cert = "c.pem", .key = "c.key"};
  EXPECT_TRUE(PageTls(flags).empty());
  flags.http_listen = "10.0.9.1:7073";
  EXPECT_EQ(PageTls(flags).cert, "c.pem");
  EXPECT_EQ(PageTls(flags).key, "c.key");
  EXPECT_EQ(PageTls(flags).ca, "");  // browsers are not asked for a certificate
  flags.http_tls.cert = "page.pem";
  EXPECT_EQ(PageTls(flags).cert, "page.pem");
  flags.http_listen = "127.0.0.1:0";
  EXPECT_EQ(PageTls(flags).cert, "page.pem");
}

TEST(Exposure, TokensDoNotCrossANetworkInTheClear) {
  CoordinatorFlags flags;
  flags.listen = "0.0.0.0:7070";
  flags.insecure = flags.auth = true;
  EXPECT_THAT(std::string(CheckExposure(flags).message()), HasSubstr("for all to read"));
  flags.listen = "127.0.0.1:7070";
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags.http_listen = "0.0.0.0:7073";
  EXPECT_THAT(std::string(CheckExposure(flags).message()), HasSubstr("for all to read"));
  flags.auth = false;
  EXPECT_TRUE(CheckExposure(flags).ok());
}

TEST(DataDirectoryLock, SecondHolderIsRefusedAndToldThePid) {
  const std::string folder = FreshFolder() + "/new/data";
  auto first = DataDirectoryLock::Acquire(folder);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = DataDirectoryLock::Acquire(folder);
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(absl::StrCat("process ", getpid())));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--data-dir"));
  first->reset();
  EXPECT_TRUE(DataDirectoryLock::Acquire(folder).ok());
}

TEST(DataDirectoryLock, FolderThatCannotBeMadeIsNamed) {
  const std::string folder = FreshFolder();
  std::ofstream(folder + "/file") << "x";
  auto lock = DataDirectoryLock::Acquire(folder + "/file/data");
  ASSERT_FALSE(lock.ok());
  EXPECT_THAT(std::string(lock.status().message()), HasSubstr(folder + "/file/data"));
}

TEST(ReportReady, OneLineThenClosed) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_TRUE(ReportReady(ends[1], "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3").ok());
  char buffer[100];
  const ssize_t n = read(ends[0], buffer, sizeof buffer);
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(n)),
            "grpc=127.0.0.1:1 metrics=127.0.0.1:2 http=127.0.0.1:3\n");
  EXPECT_EQ(read(ends[0], buffer, sizeof buffer), 0);
  close(ends[0]);
}

TEST(ReportReady, ClosedDescriptorIsAnErrorThatNamesTheFlag) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  close(ends[1]);
  const absl::Status status = ReportReady(ends[1], "a", "b", "c");
  EXPECT_THAT(std::string(status.message()), HasSubstr("--ready-fd"));
}

}  // namespace
}  // namespace lockstep
