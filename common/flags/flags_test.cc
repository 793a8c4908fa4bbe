#include "common/flags/command_line.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Example {
  std::string address = "127.0.0.1:7070", level = "info", absent;
  int slots = 2, descriptor = -1;
  int64_t tokens = 200;
  absl::Duration interval = absl::Milliseconds(200);
  bool insecure = false;
  std::vector<std::string> sets;

  std::optional<Exit> Parse(std::vector<const char*> arguments) {
    CommandLine line("lockstep-example", "An example.", "\nExamples:\n  lockstep-example");
    Flags& flags = line.flags();
    flags.Text("--address", &address, "where", "HOST:PORT",
               [](const std::string& text) { return text == "nowhere" ? "is no address" : ""; });
    flags.Text("--absent", &absent, "nothing by default", "DIR");
    flags.Choice("--level", &level, {"info", "debug"}, "how much");
    flags.Number("--slots", &slots, 1, 8, "how many");
    flags.Number("--descriptor", &descriptor, 3, 1024, "where to");
    flags.Number("--tokens", &tokens, int64_t{1}, int64_t{1} << 40, "how long");
    flags.Time("--interval", &interval, "how often", absl::Milliseconds(10), absl::Hours(1));
    flags.Switch("--insecure", &insecure, "no TLS");
    flags.Texts("--set", &sets, "a field", "KEY=VALUE");
    arguments.insert(arguments.begin(), "lockstep-example");
    return line.Parse(static_cast<int>(arguments.size()), arguments.data());
  }
};

TEST(CommandLine, TargetsAreFilledAndKeepTheirValueWhereTheFlagIsAbsent) {
  Example example;
  EXPECT_FALSE(example.Parse({"--slots", "3", "--tokens", "8589934592", "--interval", "1m30s", "--set",
                              "a=[1, 2]", "--set", "b=2", "--insecure"}));
  EXPECT_EQ(example.slots, 3);
  EXPECT_EQ(example.tokens, int64_t{1} << 33);
  EXPECT_EQ(example.interval, absl::Seconds(90));
  EXPECT_THAT(example.sets, testing::ElementsAre("a=[1, 2]", "b=2"));
  EXPECT_TRUE(example.insecure);
  EXPECT_EQ(example.address, "127.0.0.1:7070");
  EXPECT_EQ(example.descriptor, -1);
}

TEST(CommandLine, HelpShowsTheDefaultsThatThereAre) {
  const auto exit = Example().Parse({"--help"});
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
  EXPECT_EQ(exit->err, "");
  EXPECT_THAT(exit->out,
              AllOf(HasSubstr("--address HOST:PORT [127.0.0.1:7070]"), HasSubstr("--slots N [2]"),
                    HasSubstr("--interval DURATION [200ms]"), HasSubstr("--level info|debug [info]"),
                    HasSubstr("--descriptor N "), Not(HasSubstr("[-1]")), HasSubstr("Examples:")));
}

TEST(CommandLine, VersionNamesTheProgram) {
  const auto exit = Example().Parse({"--version"});
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
  EXPECT_THAT(exit->out, HasSubstr("lockstep-example "));
}

TEST(CommandLine, WrongUsageIsTwoAndSaysWhatIsWrong) {
  const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
      {{"--slots", "9"}, "--slots: expected an integer from 1 to 8, got '9'"},
      {{"--slots", "many"}, "--slots: expected an integer from 1 to 8, got 'many'"},
      {{"--slots", "2.5"}, "got '2.5'"},
      {{"--descriptor", "2"}, "--descriptor: expected an integer from 3 to 1024, got '2'"},
      {{"--interval", "5h"}, "expected a duration between 10ms and 1h (write it like 200ms or 2s), got '5h'"},
      {{"--interval", "soon"}, "got 'soon'"},
      {{"--level", "loud"}, "loud"},
      {{"--address", "nowhere"}, "is no address"},
      {{"--nothing"}, "--nothing"},
  };
  for (const auto& [arguments, expected] : cases) {
    const auto exit = Example().Parse(arguments);
    ASSERT_TRUE(exit) << expected;
    EXPECT_EQ(exit->code, 2) << expected;
    EXPECT_EQ(exit->out, "") << expected;
    EXPECT_THAT(exit->err, HasSubstr(expected));
  }
}

TEST(CommandLine, OneOfTheCommandsMustBeGiven) {
  std::string folder;
  const auto parse = [&folder](std::vector<const char*> arguments, std::string* command) {
    CommandLine line("lockstep-example", "An example.");
    Flags one = line.Command("one", "the first");
    one.Positional("FOLDER", &folder, "a folder");
    line.Command("two", "the second");
    arguments.insert(arguments.begin(), "lockstep-example");
    const auto exit = line.Parse(static_cast<int>(arguments.size()), arguments.data());
    *command = line.command();
    return exit ? exit->code : 0;
  };
  std::string command;
  EXPECT_EQ(parse({"one", "here"}, &command), 0);
  EXPECT_EQ(command, "one");
  EXPECT_EQ(folder, "here");
  EXPECT_EQ(parse({"two"}, &command), 0);
  EXPECT_EQ(command, "two");
  EXPECT_EQ(parse({}, &command), 2);
  EXPECT_EQ(parse({"one"}, &command), 2);
}

}  // namespace
}  // namespace lockstep
