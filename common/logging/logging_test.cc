#include "common/logging/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(FormatLogLine, FieldsFollowTheMessage) {
  EXPECT_EQ(FormatLogLine("job started", {{"job", "j1"}, {"generation", int64_t{2}}, {"loss", 0.5}}),
            "job started job=j1 generation=2 loss=0.5");
}

TEST(FormatLogLine, ValueThatWouldBreakTheLineIsQuotedAndEscaped) {
  EXPECT_EQ(FormatLogLine("a\nb", {{"text", "two words\nand \"quotes\""}, {"empty", ""}}),
            "a\\nb text=\"two words\\nand \\\"quotes\\\"\" empty=\"\"");
}

TEST(InitLogging, UnknownLevelIsRefusedWithTheValidOnes) {
  const absl::Status status = InitLogging("coordinator", "verbose");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("debug, info, warning, error, off"));
}

TEST(Log, LineGoesToStderrWithTimeLevelAndDaemon) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  ASSERT_TRUE(InitLogging("coordinator", "info").ok());
  LogDebug("not shown");
  LogWarning("disk {} full", {{"path", "/tmp"}});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, MatchesRegex("[0-9-]*T[0-9:.]*Z warning coordinator: disk \\{\\} full path=/tmp\n"));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(Log, LibrariesThatCallSpdlogThemselvesUseTheSameForm) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  ASSERT_TRUE(InitLogging("worker", "info").ok());
  spdlog::info("job {} done", 7);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("Z info    worker: job 7 done\n"));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace lockstep
