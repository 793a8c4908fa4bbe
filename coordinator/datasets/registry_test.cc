#include "coordinator/datasets/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "common/data/testing.h"
#include "common/text/byte_pair_training.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MemoryStore : public DatasetStore {
 public:
  absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() override {
    std::vector<v1::Dataset> all;
    for (const auto& [key, dataset] : saved) all.push_back(dataset);
    return all;
  }
  absl::Status SaveDataset(const v1::Dataset& dataset) override {
    if (!failure.ok()) return failure;
    saved[{dataset.name(), dataset.version()}] = dataset;
    return absl::OkStatus();
  }
  std::map<std::pair<std::string, int>, v1::Dataset> saved;
  absl::Status failure;
};

// Far enough ahead that every file counts as settled.
class LateClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now() + absl::Hours(1); }
};

class RegistryTest : public ::testing::Test {
 protected:
  v1::DatasetSpec Digits() { return CsvSpec(dir_.Write("digits.csv", "x,y\n1,a\n2,b\n3,a\n4,b\n"), "y"); }

  void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }

  TempDir dir_;
  MemoryStore store_;
  LateClock clock_;
  DatasetRegistry registry_{&store_, &clock_};
};

TEST_F(RegistryTest, FirstRegistrationIsVersionOneAndIsSaved) {
  const auto done = registry_.Register("", Digits());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_TRUE(done->created);
  EXPECT_EQ(done->dataset.name(), "digits");
  EXPECT_EQ(done->dataset.version(), 1);
  EXPECT_EQ(done->dataset.records(), 4);
  EXPECT_EQ(done->dataset.task(), v1::TASK_CLASSIFICATION);
  EXPECT_GT(done->dataset.registered_at().seconds(), 0);
  EXPECT_EQ(store_.saved.count({"digits", 1}), 1u);
}

TEST_F(RegistryTest, ANameIsOfItsNamespaceAndOtherNamespacesAreNotThere) {
  EXPECT_EQ(registry_.Register("", Digits(), "team-a")->dataset.name(), "team-a/digits");
  EXPECT_EQ(registry_.Resolve(Digits(), "team-b")->name(), "team-b/digits");
  EXPECT_EQ(registry_.Find("team-a/digits@1")->version(), 1) << "as workers ask for it";
  EXPECT_EQ(registry_.Find("digits", {"team-a"})->name(), "team-a/digits");
  v1::DatasetSpec named;
  named.set_name("digits");
  EXPECT_EQ(registry_.Resolve(named, "team-b")->name(), "team-b/digits");
  ExpectError(registry_.Resolve(named).status(), absl::StatusCode::kNotFound, "none is");
  named.set_name("team-b/digits");
  EXPECT_TRUE(registry_.Resolve(named, "team-a").ok());
  const absl::Status other = registry_.Resolve(named, "team-a", {"team-a"}).status();
  ExpectError(other, absl::StatusCode::kNotFound, "no dataset 'team-b/digits' is registered");
  ExpectError(registry_.Find("team-b/digits@7", {"team-a"}).status(), absl::StatusCode::kNotFound,
              "no dataset");
  EXPECT_THAT(std::string(registry_.Find("digit", {"team-a"}).status().message()), Not(HasSubstr("team-b")));
  ExpectError(registry_.Find("Team/digits").status(), absl::StatusCode::kInvalidArgument, "namespace");
  ExpectError(registry_.Register("team-b/digits", Digits(), "team-a").status(),
              absl::StatusCode::kInvalidArgument, "dataset name");
}

TEST_F(RegistryTest, SameContentGivesTheSameVersion) {
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  const auto again = registry_.Register("", Digits());  // written again: same bytes, another time
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->created);
  EXPECT_EQ(again->dataset.version(), 1);
}

TEST_F(RegistryTest, ChangedContentOrSchemaGivesTheNextVersion) {
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  const v1::DatasetSpec more = CsvSpec(dir_.Write("digits.csv", "x,y\n1,a\n2,b\n3,a\n4,b\n5,b\n"), "y");
  const auto second = registry_.Register("", more);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->created);
  EXPECT_EQ(second->dataset.version(), 2);
  v1::DatasetSpec other = more;
  (*other.mutable_columns())["x"] = v1::COLUMN_TYPE_CATEGORICAL;
  EXPECT_EQ(registry_.Register("", other)->dataset.version(), 3);
  EXPECT_EQ(registry_.Register("", Digits())->dataset.version(), 1) << "back to the first content";
  EXPECT_EQ(registry_.Find("digits")->version(), 3);
  EXPECT_EQ(registry_.Find("digits@2")->records(), 5);
  EXPECT_EQ(registry_.List().size(), 3u);
}

TEST_F(RegistryTest, UnchangedFileIsReadOnceHoweverOftenItIsSubmitted) {
  const v1::DatasetSpec spec = Digits();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(registry_.Resolve(spec).ok());
  EXPECT_EQ(registry_.reads(), 1);
  v1::DatasetSpec named;
  named.set_name("digits");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(registry_.Resolve(named).ok());
  EXPECT_EQ(registry_.reads(), 1);
}

TEST_F(RegistryTest, FileWrittenAMomentAgoIsNotTrustedByItsTimes) {
  class FrozenClock : public Clock {
   public:
    absl::Time Now() override { return absl::UnixEpoch(); }
  } frozen;
  DatasetRegistry registry(&store_, &frozen);
  const v1::DatasetSpec spec = Digits();
  ASSERT_TRUE(registry.Resolve(spec).ok());
  ASSERT_TRUE(registry.Resolve(spec).ok());
  EXPECT_EQ(registry.reads(), 2);
}

TEST_F(RegistryTest, ReplacedFileWithItsOldTimeAndSizeIsReadAgain) {
  const v1::DatasetSpec spec = Digits();
  ASSERT_TRUE(registry_.Resolve(spec).ok());
  const auto time = std::filesystem::last_write_time(spec.path());
  dir_.Write("digits.csv", "x,y\n9,a\n2,b\n3,a\n4,b\n");
  std::filesystem::last_write_time(spec.path(), time);
  EXPECT_EQ(registry_.Resolve(spec)->version(), 2);
}

TEST_F(RegistryTest, MovedFileKeepsItsVersionAndTakesTheNewPath) {
  const v1::DatasetSpec spec = Digits();
  ASSERT_TRUE(registry_.Register("digits", spec).ok());
  const std::string moved = dir_.path() + "/elsewhere.csv";
  std::filesystem::rename(spec.path(), moved);
  const auto again = registry_.Register("digits", CsvSpec(moved, "y"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->created);
  EXPECT_EQ(again->dataset.version(), 1);
  EXPECT_EQ(again->dataset.path(), moved);
  EXPECT_EQ((store_.saved[{"digits", 1}].path()), moved);
}

TEST_F(RegistryTest, LoadBringsBackWhatWasSaved) {
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  DatasetRegistry restarted(&store_, &clock_);
  ASSERT_TRUE(restarted.Load().ok());
  EXPECT_EQ(restarted.Find("digits@1")->fingerprint(), registry_.Find("digits")->fingerprint());
  EXPECT_FALSE(restarted.Register("", Digits())->created);
}

TEST_F(RegistryTest, FailingStoreRegistersNothing) {
  store_.failure = absl::UnavailableError("disk is full");
  ExpectError(registry_.Register("", Digits()).status(), absl::StatusCode::kUnavailable, "disk is full");
  EXPECT_TRUE(registry_.List().empty());
  store_.failure = absl::OkStatus();
  EXPECT_EQ(registry_.Register("", Digits())->dataset.version(), 1);
}

TEST_F(RegistryTest, UnknownNameListsTheNearest) {
  ExpectError(registry_.Find("digits").status(), absl::StatusCode::kNotFound, "none is");
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  ExpectError(registry_.Find("digit").status(), absl::StatusCode::kNotFound, "did you mean 'digits'?");
  ExpectError(registry_.Find("iris").status(), absl::StatusCode::kNotFound, "there are digits");
  ExpectError(registry_.Find("digits@7").status(), absl::StatusCode::kNotFound, "its versions are 1");
  for (const char* bad :
       {"", "@1", "digits@", "digits@0", "digits@-1", "digits@1x", "digits@99999999999", "A/b", "a/b/c"}) {
    EXPECT_EQ(registry_.Find(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(RegistryTest, IncompatibleSpecForARegisteredNameIsRefused) {
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  v1::DatasetSpec spec;
  spec.set_name("digits@1");
  spec.set_label("y");
  spec.set_task(v1::TASK_CLASSIFICATION);
  (*spec.mutable_columns())["x"] = v1::COLUMN_TYPE_NUMERIC;
  EXPECT_TRUE(registry_.Resolve(spec).ok());
  v1::DatasetSpec wrong = spec;
  wrong.set_label("x");
  ExpectError(registry_.Resolve(wrong).status(), absl::StatusCode::kInvalidArgument,
              "dataset.label: digits@1 was registered with 'y', the spec asks for 'x'");
  wrong = spec;
  wrong.set_task(v1::TASK_REGRESSION);
  ExpectError(registry_.Resolve(wrong).status(), absl::StatusCode::kInvalidArgument, "asks for 'regression'");
  wrong = spec;
  (*wrong.mutable_columns())["x"] = v1::COLUMN_TYPE_IGNORE;
  ExpectError(registry_.Resolve(wrong).status(), absl::StatusCode::kInvalidArgument, "dataset.columns.x");
  wrong = spec;
  (*wrong.mutable_columns())["zz"] = v1::COLUMN_TYPE_IGNORE;
  ExpectError(registry_.Resolve(wrong).status(), absl::StatusCode::kInvalidArgument, "has no column 'zz'");
  wrong = spec;
  wrong.set_format(v1::DATASET_FORMAT_IDX);
  ExpectError(registry_.Resolve(wrong).status(), absl::StatusCode::kInvalidArgument, "asks for 'idx'");
}

TEST_F(RegistryTest, SplitThatLeavesAPartEmptyIsToldAtSubmission) {
  v1::DatasetSpec spec = Digits();
  spec.mutable_split()->set_train(0.8);
  ExpectError(registry_.Resolve(spec).status(), absl::StatusCode::kInvalidArgument,
              "leaves the test part empty");
  spec.clear_path();
  spec.set_name("digits");
  ExpectError(registry_.Resolve(spec).status(), absl::StatusCode::kInvalidArgument,
              "leaves the test part empty");
  spec.mutable_split()->set_validation(0.2);
  spec.mutable_split()->set_test(0);
  EXPECT_TRUE(registry_.Resolve(spec).ok());
}

TEST_F(RegistryTest, PathAndNameTogetherOrNeitherAreRefused) {
  v1::DatasetSpec spec = Digits();
  spec.set_name("digits");
  ExpectError(registry_.Resolve(spec).status(), absl::StatusCode::kInvalidArgument, "exclude each other");
  ExpectError(registry_.Resolve({}).status(), absl::StatusCode::kInvalidArgument, "set either");
}

TEST_F(RegistryTest, RegisteredFileThatChangedOrVanishedIsToldAtSubmission) {
  const v1::DatasetSpec file = Digits();
  ASSERT_TRUE(registry_.Register("", file).ok());
  v1::DatasetSpec spec;
  spec.set_name("digits");
  dir_.Write("digits.csv", "x,y\n1,b\n2,a\n");
  ExpectError(registry_.Resolve(spec).status(), absl::StatusCode::kDataLoss,
              "has changed since it was registered");
  std::filesystem::remove(file.path());
  ExpectError(registry_.Resolve(spec).status(), absl::StatusCode::kNotFound, file.path());
}

TEST_F(RegistryTest, MissingFileAndBadNameAreErrors) {
  ExpectError(registry_.Resolve(CsvSpec(dir_.path() + "/none.csv", "y")).status(),
              absl::StatusCode::kNotFound, "none.csv");
  ExpectError(registry_.Register("bad name", Digits()).status(), absl::StatusCode::kInvalidArgument,
              "bad name");
  ExpectError(registry_.Register("", {}).status(), absl::StatusCode::kInvalidArgument,
              "dataset.path is not set");
}

TEST_F(RegistryTest, NameComesFromTheFilesStem) {
  const std::string text = "x,y\n1,a\n2,b\n";
  EXPECT_EQ(
      registry_.Register("", CsvSpec(dir_.Write("my data (2).csv.gz", Gzip(text)), "y"))->dataset.name(),
      "my-data--2-");
  EXPECT_EQ(registry_.Register("", CsvSpec(dir_.Write(".csv", text), "y"))->dataset.name(), "csv");
}

TEST_F(RegistryTest, ManyThreadsRegisteringOneFileMakeOneVersion) {
  const v1::DatasetSpec spec = Digits();
  std::vector<std::thread> threads;
  std::vector<int> versions(8), created(8);
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const auto done = registry_.Register("", spec);
      versions[t] = done.ok() ? done->dataset.version() : -1;
      created[t] = done.ok() && done->created;
      (void)registry_.List();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(versions, ::testing::Each(1));
  EXPECT_EQ(std::count(created.begin(), created.end(), 1), 1);
  EXPECT_EQ(registry_.reads(), 1);
}

TEST_F(RegistryTest, ShardsConcatenateToTheFile) {
  std::string text = "x,y\n";
  while (text.size() < 3 * ShardReader::kChunkBytes) text += "12345,a\n67890,b\n";
  ASSERT_TRUE(registry_.Register("big", CsvSpec(dir_.Write("big.csv", text), "y")).ok());
  for (int64_t shards : {1, 2, 3, 7}) {
    std::string all;
    for (int64_t shard = 0; shard < shards; ++shard) {
      auto reader = registry_.OpenShard("big@1", 0, shard, shards);
      ASSERT_TRUE(reader.ok()) << reader.status();
      std::string chunk;
      int64_t offset = 0;
      while (true) {
        const auto more = (*reader)->Next(&chunk, &offset);
        ASSERT_TRUE(more.ok()) << more.status();
        if (!*more) break;
        EXPECT_EQ(offset, static_cast<int64_t>(all.size()));
        EXPECT_LE(chunk.size(), static_cast<size_t>(ShardReader::kChunkBytes));
        all += chunk;
      }
    }
    EXPECT_TRUE(all == text) << shards;
  }
  EXPECT_EQ(registry_.reads(), 1);
}

TEST_F(RegistryTest, ShardOfAChangedFileIsDataLoss) {
  std::string text = "x,y\n";
  while (text.size() < 2 * ShardReader::kChunkBytes) text += "12345,a\n67890,b\n";
  const std::string path = dir_.Write("big.csv", text);
  ASSERT_TRUE(registry_.Register("big", CsvSpec(path, "y")).ok());
  auto reader = registry_.OpenShard("big", 0, 0, 1);
  ASSERT_TRUE(reader.ok());
  std::string chunk;
  int64_t offset = 0;
  ASSERT_TRUE((*reader)->Next(&chunk, &offset).ok());
  dir_.Write("big.csv", text.substr(0, text.size() / 2));
  ExpectError((*reader)->Next(&chunk, &offset).status(), absl::StatusCode::kDataLoss, "has changed");
  ExpectError(registry_.OpenShard("big", 0, 0, 1).status(), absl::StatusCode::kDataLoss, "has changed");
}

TEST_F(RegistryTest, ShardOutOfRangeIsRefused) {
  ASSERT_TRUE(registry_.Register("", Digits()).ok());
  for (const auto& [file, shard, shards] : std::vector<std::tuple<int, int64_t, int64_t>>{
           {0, 1, 1}, {0, -1, 2}, {0, 0, 0}, {0, 0, -5}, {1, 0, 1}, {-1, 0, 1}}) {
    EXPECT_EQ(registry_.OpenShard("digits", file, shard, shards).status().code(),
              absl::StatusCode::kInvalidArgument)
        << file << " " << shard << " " << shards;
  }
}

TEST(ShardReader, RangesAreContiguousEqualButForTheLastAndCoverTheFile) {
  for (int64_t bytes : {0, 1, 5, 64, 1000, 1001}) {
    for (int64_t shards : {1, 2, 3, 7, 64, 2000}) {
      int64_t at = 0;
      for (int64_t shard = 0; shard < shards; ++shard) {
        const auto range = ShardReader::RangeOf(bytes, shard, shards);
        ASSERT_TRUE(range.ok());
        EXPECT_EQ(range->begin, at);
        EXPECT_GE(range->end, range->begin);
        at = range->end;
      }
      EXPECT_EQ(at, bytes);
    }
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(ShardReader::RangeOf(kMost, kMost - 1, kMost)->end, kMost);
  EXPECT_EQ(ShardReader::RangeOf(10, kMost - 1, kMost)->begin, 10);
}

class LanguageRegistryTest : public RegistryTest {
 protected:
  v1::DatasetSpec Folder() {
    v1::DatasetSpec spec;
    spec.set_path(dir_.path());
    return spec;
  }
};

TEST_F(LanguageRegistryTest, AFolderIsReadOnceUntilAFileJoinsIt) {
  dir_.Write("a.txt", "aaaa");
  const auto first = registry_.Register("story", Folder());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->dataset.format(), v1::DATASET_FORMAT_TEXT);
  EXPECT_EQ(first->dataset.records(), 4);
  ASSERT_TRUE(registry_.Register("story", Folder()).ok());
  EXPECT_EQ(registry_.reads(), 1);
  dir_.Write("b.txt", "bb");
  const auto second = registry_.Register("story", Folder());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->dataset.version(), 2);
  EXPECT_EQ(second->dataset.records(), 6);
  EXPECT_EQ(first->dataset.files_size(), 1) << "a version keeps the files it was read from";
  v1::DatasetSpec pinned;
  pinned.set_name("story@1");
  EXPECT_TRUE(registry_.Resolve(pinned).ok());
}

TEST_F(LanguageRegistryTest, ShardsOfEachFileCanBeRead) {
  dir_.Write("a.txt", "first");
  dir_.Write("b.txt", "second");
  ASSERT_TRUE(registry_.Register("story", Folder()).ok());
  auto reader = registry_.OpenShard("story@1", 1, 0, 1);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::string data;
  int64_t offset = 0;
  ASSERT_TRUE((*reader)->Next(&data, &offset).value());
  EXPECT_EQ(data, "second");
  ExpectError(registry_.OpenShard("story@1", 2, 0, 1).status(), absl::StatusCode::kInvalidArgument,
              "has 2 file(s)");
}

TEST_F(LanguageRegistryTest, ATokenizerBelongsToTheVersion) {
  dir_.Write("a.txt", "hello");
  ASSERT_TRUE(TrainBytePairs("aabb aabb", 258).value()->Save(dir_.path() + "/tok").ok());
  v1::DatasetSpec spec = Folder();
  ASSERT_TRUE(registry_.Register("story", spec).ok());
  spec.mutable_text()->mutable_tokenizer()->mutable_bpe()->set_path(dir_.path() + "/tok");
  const auto with = registry_.Register("story", spec);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(with->dataset.version(), 2);
  v1::DatasetSpec named = spec;
  named.clear_path();
  named.set_name("story@2");
  EXPECT_TRUE(registry_.Resolve(named).ok());
  named.set_name("story@1");
  ExpectError(registry_.Resolve(named).status(), absl::StatusCode::kInvalidArgument,
              "was registered with '(no tokenizer)'");
  named.set_name("story@2");
  named.mutable_text()->mutable_tokenizer()->mutable_char_();
  ExpectError(registry_.Resolve(named).status(), absl::StatusCode::kInvalidArgument, "asks for 'char'");
  dir_.Write("tok/merges.txt", "#version: 0.2\n");
  named.clear_text();
  ExpectError(registry_.Resolve(named).status(), absl::StatusCode::kDataLoss, "has changed");
}

}  // namespace
}  // namespace lockstep
