#include <filesystem>
#include <fstream>
#include <random>

#include "common/text/byte_alphabet.h"
#include "common/text/byte_pair_tokenizer.h"
#include "common/text/byte_pair_training.h"
#include "common/text/pretokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Folder() {
  const std::string folder = (std::filesystem::path(::testing::TempDir()) / "byte_pair_test" /
                              ::testing::UnitTest::GetInstance()->current_test_info()->name())
                                 .string();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::vector<int32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens;
  EXPECT_TRUE(tokenizer.Encode(text, &tokens).ok());
  return tokens;
}

std::vector<std::string> ByteLetters() {
  std::vector<std::string> letters;
  for (int rank = 0; rank < 256; ++rank) {
    letters.push_back(BytesToLetters(std::string(1, static_cast<char>(ByteOfRank(rank)))));
  }
  return letters;
}

// GPT-2's own procedure on one piece: merge all of the pair learned first, look again.
std::vector<int32_t> Plainly(const BytePairTokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> all;
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(text, at);
    std::vector<std::string> parts;
    for (; at < end; ++at) parts.emplace_back(1, text[at]);
    while (true) {
      size_t best = tokenizer.merges().size();
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        for (size_t rank = 0; rank < best; ++rank) {
          const auto [left, right] = tokenizer.merges()[rank];
          if (tokenizer.Text(left) == parts[i] && tokenizer.Text(right) == parts[i + 1]) best = rank;
        }
      }
      if (best == tokenizer.merges().size()) break;
      const auto [left, right] = tokenizer.merges()[best];
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (tokenizer.Text(left) != parts[i] || tokenizer.Text(right) != parts[i + 1]) continue;
        parts[i] += parts[i + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
    for (const std::string& part : parts) {
      for (int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
        if (tokenizer.Text(id) == part) all.push_back(id);
      }
    }
  }
  return all;
}

// Words of few letters, so that pairs overlap and repeat.
std::string Babble(int size, uint32_t seed) {
  std::minstd_rand random(seed);
  std::string text;
  for (int i = 0; i < size; ++i) text += "aabbcé \n'"[random() % 10];
  return text;
}

TEST(BytePairTraining, MergesTheMostFrequentPairFirstAndTheSmallerIdsOfATie) {
  // "ab" 5 times; " ab" and " c" 4 times each, and "c" has a smaller id than "ab"; " cd" and " ce" twice
  // each.
  const auto trained = TrainBytePairs("ab ab ab ab ab cd cd ce ce", 300);
  ASSERT_TRUE(trained.ok()) << trained.status();
  const BytePairTokenizer& tokenizer = **trained;
  std::vector<std::string> learned;
  for (int32_t id = 256; id < tokenizer.vocabulary(); ++id) learned.emplace_back(tokenizer.Text(id));
  EXPECT_THAT(learned, ElementsAre("ab", " c", " ab", " cd", " ce"));
}

TEST(BytePairTraining, CountsStayExactWhileItLearns) {
  // The pair chosen by adjusted counts is the one that a recount of the whole text would choose.
  const std::string text = Babble(3000, 1);
  const auto tokenizer = TrainBytePairs(text, 256 + 40).value();
  for (size_t learned = 0; learned < tokenizer->merges().size(); learned += 3) {
    const auto so_far = TrainBytePairs(text, static_cast<int32_t>(257 + learned)).value();
    // Encode with all merges but the newest, piece by piece.
    std::vector<std::string> letters = ByteLetters(), merges;
    for (size_t m = 0; m < learned; ++m) {
      const auto [left, right] = so_far->merges()[m];
      merges.push_back(letters[static_cast<size_t>(left)] + " " + letters[static_cast<size_t>(right)]);
      letters.push_back(letters[static_cast<size_t>(left)] + letters[static_cast<size_t>(right)]);
    }
    const auto before = BytePairTokenizer::Make(letters, merges).value();
    std::map<std::pair<int32_t, int32_t>, int> counts;
    for (size_t at = 0; at < text.size();) {
      const size_t end = PieceEnd(text, at);
      const std::vector<int32_t> ids = Ids(*before, text.substr(at, end - at));
      for (size_t i = 0; i + 1 < ids.size(); ++i) ++counts[{ids[i], ids[i + 1]}];
      at = end;
    }
    std::pair<int32_t, int32_t> best;
    int most = 0;
    for (const auto& [pair, count] : counts) {
      if (count > most) std::tie(best, most) = std::tie(pair, count);
    }
    EXPECT_EQ(so_far->merges()[learned], best) << "merge " << learned;
  }
}

TEST(BytePairTraining, EndsWhenNothingRepeats) {
  const auto tokenizer = TrainBytePairs("abcdefg", 1000).value();
  EXPECT_EQ(tokenizer->vocabulary(), 256);
}

TEST(BytePairTraining, BadInputIsRefused) {
  EXPECT_THAT(std::string(TrainBytePairs("text", 256).status().message()),
              HasSubstr("expected 257 to 1000000"));
  EXPECT_THAT(std::string(TrainBytePairs("text", 1000001).status().message()), HasSubstr("got 1000001"));
  EXPECT_FALSE(TrainBytePairs("", 300).ok());
}

TEST(BytePairTokenizer, JoinsAsGpt2sProcedureDoes) {
  const auto tokenizer = TrainBytePairs(Babble(5000, 2), 330).value();
  for (uint32_t seed = 3; seed < 13; ++seed) {
    const std::string text = Babble(300, seed) + std::string(40, 'a');
    EXPECT_EQ(Ids(*tokenizer, text), Plainly(*tokenizer, text)) << text;
  }
}

TEST(BytePairTokenizer, AnyBytesComeBack) {
  const auto tokenizer = TrainBytePairs(Babble(2000, 4), 300).value();
  std::minstd_rand random(5);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (uint32_t i = random() % 200; i > 0; --i) bytes += static_cast<char>(random() >> 8);
    EXPECT_EQ(tokenizer->Decode(Ids(*tokenizer, bytes)).value(), bytes);
  }
}

TEST(BytePairTokenizer, ALongPieceTakesNoQuadraticTime) {
  const auto tokenizer = TrainBytePairs(std::string(5000, 'a'), 270).value();
  const std::string long_piece(1 << 20, 'a');  // a quadratic encoder would need hours
  EXPECT_EQ(tokenizer->Decode(Ids(*tokenizer, long_piece)).value(), long_piece);
}

TEST(BytePairTokenizer, FilesAndJsonBringBackTheSame) {
  const std::string text = Babble(4000, 6), folder = Folder();
  const auto tokenizer = TrainBytePairs(text, 320).value();
  ASSERT_TRUE(tokenizer->Save(folder + "/new/tokenizer").ok());
  for (const std::string& path : {folder + "/new/tokenizer", folder + "/new/tokenizer/vocab.json"}) {
    const auto loaded = LoadTokenizer(path);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(Ids(**loaded, text), Ids(*tokenizer, text));
  }
  const auto json = TokenizerFromJson(nlohmann::json::parse(tokenizer->ToJson().dump()));
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(Ids(**json, text), Ids(*tokenizer, text));
}

TEST(BytePairTokenizer, NamesThatNoMergeMakesAreDecodedButNeverEncoded) {
  std::vector<std::string> letters = ByteLetters();
  letters.push_back("<|endoftext|>");
  const auto tokenizer = BytePairTokenizer::Make(letters, {}).value();
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{256}).value(), "<|endoftext|>");
  EXPECT_EQ(Ids(*tokenizer, "<|endoftext|>").size(), 13u);
}

class BytePairFiles : public ::testing::Test {
 protected:
  std::string Problem(const std::string& vocabulary, const std::string& merges) {
    std::ofstream(folder_ + "/vocab.json") << vocabulary;
    std::ofstream(folder_ + "/merges.txt") << merges;
    const absl::Status status = LoadTokenizer(folder_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder_)) << "the message names the file";
    return std::string(status.message());
  }
  static std::string Vocabulary(const std::vector<std::string>& more) {
    nlohmann::json json = nlohmann::json::object();
    for (const std::string& letter : ByteLetters()) json[letter] = json.size();
    for (const std::string& letter : more) json[letter] = json.size();
    return json.dump();
  }
  const std::string folder_ = Folder();
};

TEST_F(BytePairFiles, ErrorsNameTheFileAndTheLine) {
  EXPECT_THAT(Problem("{", ""), HasSubstr("vocab.json: is not JSON"));
  EXPECT_THAT(Problem("[]", ""), HasSubstr("expected an object"));
  EXPECT_THAT(Problem(R"({"a":0})", ""), HasSubstr("no token \"Ā\" for the byte 0x00"));
  EXPECT_THAT(Problem(R"({"a":0,"b":0})", ""),
              HasSubstr("token \"b\" has the id 0, which another token has too"));
  EXPECT_THAT(Problem(R"({"a":0,"b":2})", ""),
              HasSubstr("token \"b\" has the id 2; expected each of 0 .. 1"));
  EXPECT_THAT(Problem(R"({"a":-1})", ""), HasSubstr("has the id -1"));
  EXPECT_THAT(Problem(R"({"a":"x"})", ""), HasSubstr("has the id \"x\""));
  EXPECT_THAT(Problem(Vocabulary({}), "#version: 0.2\na b c\n"),
              HasSubstr("merges.txt:2: expected two tokens"));
  EXPECT_THAT(Problem(Vocabulary({"ab"}), "#version: 0.2\na b\nab c\n"),
              HasSubstr("merge 2, \"ab c\": \"abc\" is not in the vocabulary"));
  EXPECT_THAT(Problem(Vocabulary({"ab"}), "a b\na b\n"), HasSubstr("merge 2, \"a b\": is listed twice"));
}

TEST_F(BytePairFiles, MissingFilesAreNamed) {
  EXPECT_EQ(LoadTokenizer(folder_ + "/none").status().code(), absl::StatusCode::kNotFound);
  std::ofstream(folder_ + "/vocab.json") << "{}";
  const absl::Status status = LoadTokenizer(folder_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("merges.txt: no such file"));
  std::ofstream(folder_ + "/preprocessing.json") << "{}";
  EXPECT_THAT(std::string(LoadTokenizer(folder_).status().message()), HasSubstr("has no tokenizer"));
}

}  // namespace
}  // namespace lockstep
