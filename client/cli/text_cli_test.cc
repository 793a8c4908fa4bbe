// The commands about text, which need no coordinator.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "client/cli/app.h"
#include "client/cli/exit_codes.h"
#include "common/text/token_shard.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Result {
  int code = -1;
  std::string out, err;
};

class TextCliTest : public ::testing::Test {
 protected:
  TextCliTest()
      : folder_((std::filesystem::path(::testing::TempDir()) / "text_cli_test" /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name())
                    .string()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    for (int i = 0; i < 50; ++i) text_ += "the cat sat on the mat\n";
    std::ofstream(At("text.txt")) << text_;
  }

  static Result Lockstep(std::vector<std::string> arguments) {
    std::ostringstream out, err;
    Environment environment;
    environment.out = &out;
    environment.err = &err;
    environment.variable = [](const char*) { return std::string(); };
    Result result;
    result.code = RunApp(arguments, environment, nullptr);
    result.out = out.str();
    result.err = err.str();
    return result;
  }
  std::string At(const std::string& name) const { return folder_ + "/" + name; }
  void Train() {
    const Result trained =
        Lockstep({"tokenizer", "train", At("text.txt"), "--vocabulary", "266", "--output", At("tok")});
    ASSERT_EQ(trained.code, kExitSucceeded) << trained.err;
    EXPECT_THAT(trained.err, HasSubstr("266 tokens;"));
  }
  void ExpectError(std::vector<std::string> arguments, int code, const std::string& part) {
    const Result result = Lockstep(std::move(arguments));
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("error: "));
    EXPECT_THAT(result.err, HasSubstr(part));
  }

  const std::string folder_;
  std::string text_;
};

TEST_F(TextCliTest, ATrainedTokenizerEncodesDecodesAndWritesShards) {
  Train();
  const Result encoded = Lockstep({"tokenizer", "encode", "the cat\n", "--tokenizer", At("tok")});
  ASSERT_EQ(encoded.code, kExitSucceeded) << encoded.err;
  const Result decoded = Lockstep({"tokenizer", "decode", encoded.out, "--tokenizer", At("tok")});
  EXPECT_EQ(decoded.out, "the cat\n") << "byte for byte";
  const Result shard =
      Lockstep({"tokenizer", "tokens", At("text.txt"), "--tokenizer", At("tok"), "--output", At("x.bin")});
  ASSERT_EQ(shard.code, kExitSucceeded) << shard.err;
  std::ifstream file(At("x.bin"), std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const auto tokens = TokenShard::Parse(bytes);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_LT(tokens->Largest(), 266);
  EXPECT_THAT(shard.err, HasSubstr(std::to_string(tokens->size())));
}

TEST_F(TextCliTest, AVocabularyThatTheTextDoesNotFillIsSaid) {
  const Result trained =
      Lockstep({"tokenizer", "train", At("text.txt"), "--vocabulary", "9000", "--output", At("tok")});
  EXPECT_EQ(trained.code, kExitSucceeded);
  EXPECT_THAT(trained.err, HasSubstr("(nothing else occurs twice)"));
}

TEST_F(TextCliTest, BadInputIsRefusedByName) {
  ExpectError({"tokenizer", "train", At("none.txt"), "--output", At("t")}, kExitNotFound,
              "none.txt: no such file");
  ExpectError({"tokenizer", "train", At("text.txt")}, kExitUsage, "--output is missing");
  ExpectError({"tokenizer", "train", At("text.txt"), "--vocabulary", "256", "--output", At("t")}, kExitUsage,
              "--vocabulary");
  std::ofstream(At("bad.txt")) << "caf\xE9 au lait";
  ExpectError({"tokenizer", "train", At("bad.txt"), "--output", At("t")}, kExitError,
              "bad.txt: byte 3: expected UTF-8");
  ExpectError({"tokenizer", "encode", "x"}, kExitUsage, "--tokenizer is missing");
  ExpectError({"tokenizer", "encode", "x", "--tokenizer", At("none")}, kExitNotFound,
              "none: no such file or folder");
  Train();
  ExpectError({"tokenizer", "decode", "1 266", "--tokenizer", At("tok")}, kExitError, "token 2 of 2 is 266");
  ExpectError({"tokenizer", "decode", "1 x", "--tokenizer", At("tok")}, kExitError,
              "token 2: expected a whole number");
  ExpectError({"tokenizer", "tokens", At("text.txt"), "--tokenizer", At("tok"), "--output", At("no/x.bin")},
              kExitNotFound, "no/x.bin");
  ExpectError({"tokenizer"}, kExitError, "expected one of train, encode, decode, tokens");
}

TEST_F(TextCliTest, HelpAndCompletionKnowTheSubcommands) {
  for (const char* command : {"train", "encode", "decode", "tokens"}) {
    const Result help = Lockstep({"tokenizer", command, "--help"});
    EXPECT_EQ(help.code, kExitSucceeded);
    EXPECT_THAT(help.out, HasSubstr(std::string("Examples:\n  lockstep tokenizer ") + command));
  }
  EXPECT_THAT(Lockstep({"completion", "bash"}).out, HasSubstr("tokenizer"));
}

}  // namespace
}  // namespace lockstep
