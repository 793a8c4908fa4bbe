#include "worker/agent/dataset_cache.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

std::string Content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

class DatasetCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/dataset_cache_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    for (int i = 0; i < 100'000; ++i) data_ += static_cast<char>('a' + i % 23);
    dataset_.set_name("digits");
    dataset_.set_version(3);
    dataset_.set_fingerprint("00ff");
    dataset_.set_path("/not/here/digits.csv.gz");
    dataset_.set_bytes(static_cast<int64_t>(data_.size()));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Serves data_ (file 0) and labels_ (file 1) in pieces of 1000 bytes; `fault_` may end a call after a
  // piece.
  absl::Status Read(const v1::ReadShardRequest& request,
                    const std::function<absl::Status(const v1::ReadShardResponse&)>& chunk) {
    const std::string& bytes = request.file() == 0 ? data_ : labels_;
    const auto size = static_cast<int64_t>(bytes.size());
    const int64_t each = (size + request.shards() - 1) / request.shards();
    const int64_t begin = std::min(size, request.shard() * each), end = std::min(size, begin + each);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ++reads_;
      EXPECT_EQ(request.dataset(), "digits@3");
    }
    for (int64_t at = begin; at < end; at += 1000) {
      v1::ReadShardResponse response;
      response.set_offset(at);
      response.set_data(
          bytes.substr(static_cast<size_t>(at), static_cast<size_t>(std::min<int64_t>(1000, end - at))));
      if (absl::Status status = chunk(response); !status.ok()) return status;
      if (absl::Status status = fault_(request.shard(), at); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  DatasetCache Cache() {
    return DatasetCache({.directory = folder_ + "/cache", .shard_bytes = 10'000, .retry_for = retry_for_},
                        [this](const auto& request, const auto& chunk) { return Read(request, chunk); });
  }

  std::string folder_;
  std::string data_;
  std::string labels_ = "labels";
  v1::Dataset dataset_;
  std::function<absl::Status(int64_t, int64_t)> fault_ = [](int64_t, int64_t) { return absl::OkStatus(); };
  absl::Duration retry_for_ = absl::Minutes(10);
  std::mutex mutex_;
  int reads_ = 0;
  std::atomic<bool> never_{false};
};

TEST_F(DatasetCacheTest, VisibleFileOfTheRightSizeIsUsedAsItIs) {
  dataset_.set_path(folder_ + "/digits.csv");
  std::ofstream(dataset_.path()) << data_;
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(local->path(), dataset_.path());
  EXPECT_EQ(reads_, 0);
}

TEST_F(DatasetCacheTest, VisibleFileOfAnotherSizeIsNotTrusted) {
  dataset_.set_path(folder_ + "/digits.csv");
  std::ofstream(dataset_.path()) << data_ << "more";
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_NE(local->path(), dataset_.path());
  EXPECT_EQ(Content(local->path()), data_);
}

TEST_F(DatasetCacheTest, HiddenFileIsFetchedOnceInShardsAndKeepsItsEnding) {
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Content(local->path()), data_);
  EXPECT_THAT(local->path(), HasSubstr("/00ff/data-digits.csv.gz"));
  EXPECT_EQ(reads_, 11);
  ASSERT_TRUE(Cache().Localize(dataset_, never_).ok());
  EXPECT_EQ(reads_, 11) << "the second time it is there";
}

TEST_F(DatasetCacheTest, LabelsAreFetchedToo) {
  dataset_.set_labels_path("/not/here/labels.idx");
  dataset_.set_bytes(dataset_.bytes() + static_cast<int64_t>(labels_.size()));
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Content(local->path()), data_);
  EXPECT_EQ(Content(local->labels_path()), labels_);
}

TEST_F(DatasetCacheTest, EachOfManyFilesAndTheTokenizerIsFetchedToItsOwnPlace) {
  dataset_.add_files("/not/here/a/x.txt");
  dataset_.add_files("/not/here/b/x.txt");
  dataset_.add_tokenizer_files("/not/here/vocab.json");
  dataset_.add_tokenizer_files("/not/here/merges.txt");
  dataset_.set_bytes(dataset_.bytes() + 3 * static_cast<int64_t>(labels_.size()));
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Content(local->files(0)), data_);
  EXPECT_EQ(Content(local->files(1)), labels_);
  EXPECT_EQ(Content(local->tokenizer_files(0)), labels_);
  EXPECT_THAT(local->tokenizer_files(1), HasSubstr("merges.txt"));
  const int before = reads_;
  ASSERT_TRUE(Cache().Localize(dataset_, never_).ok());
  EXPECT_EQ(reads_, before) << "the second time they are there";
}

TEST_F(DatasetCacheTest, BrokenOffShardIsRepeatedAlone) {
  int faults = 1;
  fault_ = [&](int64_t shard, int64_t at) {
    return shard == 4 && at > 41'000 && faults-- > 0 ? absl::UnavailableError("gone") : absl::OkStatus();
  };
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Content(local->path()), data_);
  EXPECT_EQ(reads_, 12);
}

TEST_F(DatasetCacheTest, LaterFetchGoesOnAfterTheLastWholeShard) {
  fault_ = [](int64_t shard, int64_t) {
    return shard == 7 ? absl::NotFoundError("the coordinator died") : absl::OkStatus();
  };
  EXPECT_EQ(Cache().Localize(dataset_, never_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(reads_, 8);
  fault_ = [](int64_t, int64_t) { return absl::OkStatus(); };
  auto local = Cache().Localize(dataset_, never_);
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(Content(local->path()), data_);
  EXPECT_EQ(reads_, 8 + 4) << "shards 7 to 10";
}

TEST_F(DatasetCacheTest, CopyOfTheWrongSizeIsDataLossAndNotKept) {
  dataset_.set_bytes(dataset_.bytes() + 1);
  const absl::Status status = Cache().Localize(dataset_, never_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("changed since it was registered"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/cache/00ff/data-digits.csv.gz"));
}

TEST_F(DatasetCacheTest, FingerprintThatIsAPathIsRefused) {
  dataset_.set_fingerprint("../../etc");
  EXPECT_EQ(Cache().Localize(dataset_, never_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DatasetCacheTest, CoordinatorThatStaysAwayIsReported) {
  retry_for_ = absl::Seconds(1);
  fault_ = [](int64_t, int64_t) { return absl::UnavailableError("nobody there"); };
  const absl::Status status = Cache().Localize(dataset_, never_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("digits@3"));
}

TEST_F(DatasetCacheTest, CancelledFetchEnds) {
  std::atomic<bool> cancelled{false};
  fault_ = [&](int64_t, int64_t) {
    cancelled = true;
    return absl::OkStatus();
  };
  EXPECT_EQ(Cache().Localize(dataset_, cancelled).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(DatasetCacheTest, SlotsThatNeedItAtOnceFetchItOnce) {
  DatasetCache cache = Cache();
  std::vector<std::thread> slots;
  for (int i = 0; i < 4; ++i) {
    slots.emplace_back([&] {
      auto local = cache.Localize(dataset_, never_);
      ASSERT_TRUE(local.ok()) << local.status();
      EXPECT_EQ(Content(local->path()), data_);
    });
  }
  for (std::thread& slot : slots) slot.join();
  EXPECT_EQ(reads_, 11);
}

}  // namespace
}  // namespace lockstep
