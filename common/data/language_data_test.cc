// Text and token shards, from files to samples.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/data/dataset.h"
#include "common/data/dataset_files.h"
#include "common/data/testing.h"
#include "common/spec/spec.h"
#include "common/text/byte_pair_training.h"
#include "common/text/token_shard.h"
#include "common/text/tokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Language : public ::testing::Test {
 protected:
  // Completed, inspected and prepared as a job's.
  absl::StatusOr<std::unique_ptr<PreparedDataset>> Prepare(const std::string& yaml) {
    ASSIGN_OR_RETURN(spec_, ParseSpec(yaml, "spec.yaml", dir_.path(), {}));
    RETURN_IF_ERROR(CompleteSpec(&spec_));
    ASSIGN_OR_RETURN(dataset_, InspectDataset(spec_.dataset()));
    return PreparedDataset::Prepare(dataset_, spec_);
  }
  std::string Problem(const std::string& yaml) {
    const absl::Status status = Prepare(yaml).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }
  void WriteShard(const std::string& name, std::vector<int32_t> tokens) {
    ASSERT_TRUE(WriteTokenShard(dir_.path() + "/" + name, tokens).ok());
  }
  static std::vector<int32_t> Count(int32_t from, int32_t to) {
    std::vector<int32_t> tokens;
    for (int32_t t = from; t < to; ++t) tokens.push_back(t);
    return tokens;
  }

  TempDir dir_;
  v1::JobSpec spec_;
  v1::Dataset dataset_;
};

std::string Gpt(const std::string& dataset, int context = 4) {
  return absl::StrCat("dataset: { ", dataset, " }\nmodel: { gpt: { context: ", context, " } }\nseed: 3\n");
}

constexpr char kHalves[] = "split: { train: 0.5, validation: 0.25, test: 0.25 }";

TEST_F(Language, TextIsSplitByCharactersAndItsVocabularyIsTheTrainingPartsAlone) {
  dir_.Write("t.txt",
             "abcdéfgh"
             "ijklm"
             "abcd");  // 17 characters: 9, 4, 4 (the odd one goes to training)
  const auto data = Prepare(Gpt(std::string("path: t.txt, ") + kHalves, 3));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(dataset_.format(), v1::DATASET_FORMAT_TEXT);
  EXPECT_EQ(dataset_.task(), v1::TASK_LANGUAGE_MODEL);
  EXPECT_EQ(dataset_.records(), 17);
  EXPECT_EQ(dataset_.columns(0).distinct(), 13);
  EXPECT_EQ((*data)->sequence_length(), 3) << "the model's context";
  EXPECT_EQ((*data)->vocabulary(), 10) << "9 characters and the unknown";
  int32_t tokens[3], targets[3];
  (*data)->FetchTokens(Part::kValidation, 0, 0, 1, tokens, targets);
  EXPECT_THAT(tokens, ElementsAre(9, 9, 9)) << "jkl was never seen in training";
  EXPECT_THAT(targets, ElementsAre(9, 9, 9));
  EXPECT_EQ((*data)->size(Part::kTest), 1);
  (*data)->FetchTokens(Part::kTest, 0, 0, 1, tokens, targets);
  EXPECT_EQ((*data)->tokenizer()->Decode(targets).value(), "bcd") << "targets reach the end of the part";
}

TEST_F(Language, EachEpochUsesEachOfItsWindowsOnceAndCutsThemElsewhere) {
  WriteShard("a.bin", Count(0, 600));
  WriteShard("b.bin", Count(600, 1000));
  const auto data = Prepare(Gpt(absl::StrCat("path: ., ", kHalves), 7));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(dataset_.format(), v1::DATASET_FORMAT_TOKENS);
  EXPECT_EQ((*data)->vocabulary(), 1000);
  const int64_t windows = (*data)->size(Part::kTrain);
  EXPECT_EQ(windows, 500 / 7 - 1);
  std::set<int32_t> cuts;
  std::vector<int32_t> first_order;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<int32_t> tokens(static_cast<size_t>(windows * 7)), targets(tokens.size());
    (*data)->FetchTokens(Part::kTrain, epoch, 0, windows, tokens.data(), targets.data());
    std::vector<int32_t> used = targets;
    std::sort(used.begin(), used.end());
    // Token i of these shards is i: consecutive targets mean that each was used once.
    for (size_t i = 0; i < used.size(); ++i) ASSERT_EQ(used[i], used[0] + static_cast<int32_t>(i)) << epoch;
    EXPECT_LT(used.back(), 500);
    EXPECT_LT(used[0] - 1, 7);
    cuts.insert(used[0] - 1);
    for (size_t i = 0; i < tokens.size(); ++i) ASSERT_EQ(targets[i], tokens[i] + 1);
    EXPECT_EQ((*data)->RecordAt(Part::kTrain, epoch, 5), tokens[5 * 7]);
    if (epoch == 0) first_order = tokens;
    if (epoch > 0) {
      EXPECT_NE(tokens, first_order) << "an epoch has an order of its own";
    }
  }
  EXPECT_GT(cuts.size(), 4u) << "of 7 places to cut at";
}

TEST_F(Language, ShardsAreOneRowOfTokensWhoeverReadsThem) {
  WriteShard("2.bin", Count(3, 11));
  WriteShard("1.bin", Count(0, 3));
  WriteShard("3.bin", Count(11, 40));
  const auto data = Prepare(Gpt("path: '[123].bin', split: { train: 0.2, validation: 0.4, test: 0.4 }", 5));
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<int32_t> tokens(10), targets(10), third(5);
  (*data)->FetchTokens(Part::kValidation, 9, 0, 2, tokens.data(), targets.data());
  EXPECT_EQ(tokens, Count(8, 18)) << "over the border of two shards, whatever the epoch";
  EXPECT_EQ(targets, Count(9, 19));
  (*data)->FetchTokens(Part::kValidation, 0, 1, 1, third.data(), nullptr);
  EXPECT_EQ(third, Count(13, 18));
}

TEST_F(Language, TheSamplesAreAPureFunctionOfFilesSpecAndSeed) {
  dir_.Write("t.txt", std::string(300, 'x') + std::string(200, 'y'));
  const auto a = Prepare(Gpt("path: t.txt")), b = Prepare(Gpt("path: t.txt"));
  const auto c = Prepare(Gpt("path: t.txt") + "train: { epochs: 2 }\n");
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  bool differs = false;
  const auto other =
      Prepare(absl::StrCat("dataset: { path: t.txt }\nmodel: { gpt: { context: 4 } }\nseed: 4\n"));
  for (int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ((*a)->RecordAt(Part::kTrain, 1, i), (*b)->RecordAt(Part::kTrain, 1, i));
    EXPECT_EQ((*a)->RecordAt(Part::kTrain, 1, i), (*c)->RecordAt(Part::kTrain, 1, i));
    differs |= (*a)->RecordAt(Part::kTrain, 1, i) != (*other)->RecordAt(Part::kTrain, 1, i);
  }
  EXPECT_TRUE(differs);
}

TEST_F(Language, BytePairsAreTrainedOnTheTrainingPartOrLoaded) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the cat sat on a flat mat. ";
  dir_.Write("t.txt", text + std::string(600, 'z'));
  const auto trained = Prepare(Gpt("path: t.txt, text: { tokenizer: { bpe: { vocabulary: 270 } } }"));
  ASSERT_TRUE(trained.ok()) << trained.status();
  EXPECT_EQ((*trained)->vocabulary(), 270);
  for (int32_t id = 256; id < 270; ++id) {
    EXPECT_THAT((*trained)->tokenizer()->Text(id), ::testing::Not(HasSubstr("zz")))
        << "the test part is unseen";
  }
  ASSERT_TRUE(TrainBytePairs(text, 265).value()->Save(dir_.path() + "/tok").ok());
  const auto loaded = Prepare(Gpt("path: t.txt, text: { tokenizer: { bpe: { path: tok } } }"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->vocabulary(), 265);
  EXPECT_EQ(FilesOf(dataset_).size(), 3u) << "the tokenizer is part of the pinned content";
  const std::string fingerprint = dataset_.fingerprint();
  ASSERT_TRUE(TrainBytePairs(text, 264).value()->Save(dir_.path() + "/tok").ok());
  EXPECT_EQ(PreparedDataset::Prepare(dataset_, spec_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(Language, TheModelFolderCarriesTheTokenizer) {
  dir_.Write("t.txt", std::string(100, 'x') + std::string(100, 'y'));
  for (const char* tokenizer : {"char: {}", "bpe: { vocabulary: 259 }"}) {
    const auto data = Prepare(Gpt(absl::StrCat("path: t.txt, text: { tokenizer: { ", tokenizer, " } }")));
    ASSERT_TRUE(data.ok()) << data.status();
    dir_.Write("preprocessing.json", (*data)->PreprocessingJson());
    const auto tokenizer_again = LoadTokenizer(dir_.path());
    ASSERT_TRUE(tokenizer_again.ok()) << tokenizer_again.status();
    std::vector<int32_t> a, b;
    ASSERT_TRUE((*data)->tokenizer()->Encode("xxyyxy", &a).ok());
    ASSERT_TRUE((*tokenizer_again)->Encode("xxyyxy", &b).ok());
    EXPECT_EQ(a, b);
    const auto json = nlohmann::json::parse((*data)->PreprocessingJson());
    EXPECT_EQ(json["sequence_length"], 4);
    EXPECT_EQ(json["vocabulary"], (*data)->vocabulary());
  }
}

TEST_F(Language, FolderAndPatternMeanTheirFilesByName) {
  dir_.Write("b.txt", std::string(40, 'b'));
  dir_.Write("a.txt", std::string(40, 'a'));
  dir_.Write("c.md", std::string(40, 'c'));
  dir_.Write(".d.txt", "dddd");
  ASSERT_TRUE(Prepare(Gpt("path: .", 1)).ok());
  EXPECT_EQ(dataset_.records(), 80);
  EXPECT_THAT(dataset_.files(), ElementsAre(dir_.path() + "/a.txt", dir_.path() + "/b.txt"));
  ASSERT_TRUE(Prepare(Gpt("path: '*.[mt]*'", 1)).ok());
  EXPECT_EQ(dataset_.records(), 120);
  dir_.Write("e.txt.gz", Gzip(std::string(40, 'e')));
  ASSERT_TRUE(Prepare(Gpt("path: .", 1)).ok());
  EXPECT_EQ(dataset_.records(), 120) << "gzip is read through";
}

TEST_F(Language, BadFilesAreNamedWithTheByte) {
  dir_.Write("a.txt", "good");
  dir_.Write("b.txt", "bad\xFFone");
  EXPECT_THAT(Problem(Gpt("path: .")), HasSubstr("b.txt: byte 3: expected UTF-8 text, got the byte 0xff"));
  dir_.Write("c.bin", "short");
  EXPECT_THAT(Problem(Gpt("path: .")), HasSubstr("both *.txt and *.bin"));
  EXPECT_THAT(Problem(Gpt("path: ., format: tokens")), HasSubstr("c.bin: not a token shard"));
  EXPECT_THAT(Problem(Gpt("path: none.txt")), HasSubstr("none.txt: no such file"));
  EXPECT_THAT(Problem(Gpt("path: '*.none'")), HasSubstr("no file matches"));
  EXPECT_THAT(Problem(Gpt("path: a.txt, text: { tokenizer: { bpe: { path: none } } }")),
              HasSubstr("dataset.text.tokenizer.bpe.path: "));
}

TEST_F(Language, ATokenOutOfTheVocabularyIsNamedWithFileAndPosition) {
  WriteShard("a.bin", Count(0, 50));
  WriteShard("b.bin", Count(0, 60));
  const auto of = [](int vocabulary) {
    return absl::StrCat("dataset: { path: '*.bin' }\nmodel: { gpt: { context: 4, vocabulary: ", vocabulary,
                        " } }\n");
  };
  EXPECT_THAT(Problem(of(55)),
              HasSubstr("token 56 of 60 in " + dir_.path() +
                        "/b.bin (byte 1134) is 55, but the model's vocabulary has the ids 0 .. 54"));
  EXPECT_TRUE(Prepare(of(60)).ok());
  EXPECT_EQ((*Prepare(of(64)))->vocabulary(), 60);
  dir_.Write("t.txt", "abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz");
  EXPECT_THAT(Problem("dataset: { path: t.txt }\nmodel: { gpt: { context: 2, vocabulary: 10 } }\n"),
              HasSubstr("vocabulary (10) is smaller than the 28 tokens"));
}

TEST_F(Language, PartsTooShortForASampleAreRefused) {
  dir_.Write("t.txt", std::string(100, 'x'));
  EXPECT_THAT(
      Problem(Gpt("path: t.txt", 10)),
      HasSubstr(
          "the validation part has 10 tokens, but a sample of dataset.text.sequence_length 10 takes 11"));
  EXPECT_TRUE(Prepare(Gpt("path: t.txt", 9)).ok());
}

TEST_F(Language, SpecsThatContradictThemselvesAreRefused) {
  dir_.Write("t.txt", std::string(100, 'x'));
  EXPECT_THAT(
      Problem(Gpt("path: t.txt, text: { sequence_length: 5 }")),
      HasSubstr("dataset.text.sequence_length: a sample of 5 tokens is longer than the model's context (4)"));
  EXPECT_THAT(Problem(Gpt("path: t.txt, text: { sequence_length: 0 }")), HasSubstr("sequence_length"));
  EXPECT_THAT(Problem(Gpt("path: t.txt, text: { tokenizer: { bpe: { vocabulary: 256 } } }")),
              HasSubstr("dataset.text.tokenizer.bpe.vocabulary: expected an integer from 257"));
  EXPECT_THAT(Problem(Gpt("path: t.txt, text: { tokenizer: { bpe: {} } }")), HasSubstr("got neither"));
  EXPECT_THAT(Problem(Gpt("path: t.txt, format: csv")), HasSubstr("is for a language model"));
  EXPECT_THAT(Problem(Gpt("path: t.txt, label: y")), HasSubstr("a label is not"));
  EXPECT_THAT(Problem("dataset: { path: t.txt, text: {} }\nmodel: { mlp: { hidden: [4] } }\n"),
              HasSubstr("dataset.text"));
}

TEST_F(Language, ACsvFileThatIsCalledTxtStaysATable) {
  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.txt", "x,y\n1,a\n2,b\n"), "y");
  const auto dataset = InspectDataset(spec);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->format(), v1::DATASET_FORMAT_CSV);
}

}  // namespace
}  // namespace lockstep
