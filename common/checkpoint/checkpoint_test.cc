#include "common/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/manifest.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lockstep_checkpoint_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    directory_ = root_ + "/jobs/1/checkpoints";
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i] = static_cast<float>(i) * 0.5f;
  }
  void TearDown() override { fs::remove_all(root_); }

  CheckpointContent Content(int64_t step, bool best = false) {
    CheckpointContent content;
    content.manifest.job_id = "job-1";
    content.manifest.step = step;
    content.manifest.epoch = 1.25;
    content.manifest.spec_hash = "abc";
    content.manifest.dataset_version = "v1";
    content.manifest.dataset_fingerprint = "f00";
    content.manifest.profile.set_instruction_set("avx2");
    content.manifest.profile.set_threads(1);
    content.manifest.metrics = {{"validation/loss", 0.1}, {"validation/odd", std::nan("")}};
    content.manifest.program_state = {{"patience", "3"}};
    content.manifest.best = best;
    const int64_t n = static_cast<int64_t>(weights_.size());
    content.model = {{"w", DType::kF32, {n}, weights_.data()}};
    content.optimizer = {{"m", DType::kF32, {n}, weights_.data()}};
    content.files = {{"spec.yaml", "name: digits\n"}, {"empty.txt", ""}};
    return content;
  }
  std::string Path(int64_t step) const { return absl::StrFormat("%s/step-%012d", directory_, step); }
  void MustWrite(int64_t step, bool best = false) {
    const auto info = WriteCheckpoint(directory_, Content(step, best));
    ASSERT_TRUE(info.ok()) << info.status();
  }
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string root_, directory_;
  std::vector<float> weights_ = std::vector<float>(3000);
};

TEST_F(CheckpointTest, WhatIsWrittenIsRead) {
  const auto written = WriteCheckpoint(directory_, Content(42));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->path, Path(42));
  EXPECT_THAT(Names(directory_), ElementsAre("step-000000000042"));
  EXPECT_THAT(Names(Path(42)), ElementsAre("empty.txt", "manifest.json", "model.safetensors",
                                           "optimizer-00000-of-00001.safetensors", "spec.yaml"));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(Path(42))) bytes += static_cast<int64_t>(entry.file_size());
  EXPECT_EQ(written->bytes, bytes);

  const auto opened = OpenCheckpoint(Path(42));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const CheckpointManifest& manifest = opened->info.manifest;
  EXPECT_EQ(manifest.job_id, "job-1");
  EXPECT_EQ(manifest.step, 42);
  EXPECT_EQ(manifest.epoch, 1.25);
  EXPECT_EQ(manifest.spec_hash, "abc");
  EXPECT_EQ(manifest.dataset_version, "v1");
  EXPECT_EQ(manifest.dataset_fingerprint, "f00");
  EXPECT_EQ(manifest.profile.instruction_set(), "avx2");
  EXPECT_EQ(manifest.profile.threads(), 1);
  EXPECT_EQ(manifest.metrics.at("validation/loss"), 0.1);
  EXPECT_TRUE(std::isnan(manifest.metrics.at("validation/odd")));
  EXPECT_EQ(manifest.program_state.at("patience"), "3");
  EXPECT_EQ(opened->info.bytes, bytes);
  EXPECT_EQ(opened->info.written_at_unix_nanos, written->written_at_unix_nanos);
  ASSERT_EQ(opened->optimizer.size(), 1u);
  const auto* w = static_cast<const float*>(opened->model.Find("w")->data);
  EXPECT_EQ(std::vector<float>(w, w + weights_.size()), weights_);
  EXPECT_NE(opened->optimizer[0].Find("m"), nullptr);
}

TEST_F(CheckpointTest, AnEqualStepIsReplaced) {
  MustWrite(1);
  weights_[7] = -1;
  MustWrite(1);
  const auto opened = OpenCheckpoint(Path(1));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(static_cast<const float*>(opened->model.Find("w")->data)[7], -1);
  EXPECT_THAT(Names(directory_), ElementsAre("step-000000000001"));
}

TEST_F(CheckpointTest, BadContentIsRefusedAndLeavesNothing) {
  CheckpointContent content = Content(1);
  content.files = {{"../escape", "x"}};
  EXPECT_EQ(WriteCheckpoint(directory_, content).status().code(), absl::StatusCode::kInvalidArgument);
  content.files = {{"manifest.json", "x"}};
  EXPECT_EQ(WriteCheckpoint(directory_, content).status().code(), absl::StatusCode::kInvalidArgument);
  content.files = {{"model.safetensors", "x"}};
  EXPECT_EQ(WriteCheckpoint(directory_, content).status().code(), absl::StatusCode::kInvalidArgument);
  content = Content(1);
  content.manifest.program_state = {{"raw", "\xFF\xFE"}};
  EXPECT_EQ(WriteCheckpoint(directory_, content).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteCheckpoint(directory_, Content(-1)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Names(directory_), IsEmpty());
}

TEST_F(CheckpointTest, EveryTruncatedFileIsRefusedByName) {
  MustWrite(5);
  for (const std::string& name : Names(Path(5))) {
    const std::string path = Path(5) + "/" + name;
    const std::string whole = Read(path);
    for (size_t size = 0; size < whole.size(); size += 4096) {
      Write(path, whole.substr(0, size));
      const absl::Status status = OpenCheckpoint(Path(5)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << name << " at " << size;
      EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    }
    if (!whole.empty()) {
      Write(path, whole.substr(0, whole.size() - 1));
      EXPECT_EQ(VerifyCheckpoint(Path(5)).code(), absl::StatusCode::kDataLoss) << name;
    }
    Write(path, whole + "x");
    EXPECT_EQ(VerifyCheckpoint(Path(5)).code(), absl::StatusCode::kDataLoss) << name;
    Write(path, whole);
    ASSERT_TRUE(VerifyCheckpoint(Path(5)).ok()) << name;
  }
}

TEST_F(CheckpointTest, AFlippedBitAnywhereIsRefusedByName) {
  weights_.resize(40);
  MustWrite(5);
  for (const std::string& name : Names(Path(5))) {
    const std::string path = Path(5) + "/" + name;
    const std::string whole = Read(path);
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
      Write(path, flipped);
      const absl::Status status = VerifyCheckpoint(Path(5));
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << name << " at " << at;
      EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    }
    Write(path, whole);
  }
  EXPECT_TRUE(VerifyCheckpoint(Path(5)).ok());
}

TEST_F(CheckpointTest, AMissingFileIsRefusedByName) {
  for (const std::string name : {"manifest.json", "model.safetensors", "spec.yaml"}) {
    MustWrite(5);
    fs::remove(Path(5) + "/" + name);
    const absl::Status status = VerifyCheckpoint(Path(5));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_F(CheckpointTest, SpecialFilesInPlaceOfContentAreRefused) {
  MustWrite(5);
  const std::string path = Path(5) + "/model.safetensors";
  fs::rename(path, root_ + "/elsewhere");
  fs::create_symlink(root_ + "/elsewhere", path);
  EXPECT_FALSE(VerifyCheckpoint(Path(5)).ok());
  fs::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(VerifyCheckpoint(Path(5)).code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointTest, AManifestThatPointsOutsideItsFolderIsRefused) {
  for (const std::string name : {"../../secret", "/etc/passwd", ".hidden", "manifest.json", ""}) {
    StoredManifest manifest;
    manifest.files[name] = {1, 1};
    const auto text = FormatManifest(manifest);
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(ParseManifest(*text).status().code(), absl::StatusCode::kDataLoss) << name;
  }
}

TEST_F(CheckpointTest, ExtremeManifestNumbersSurvive) {
  StoredManifest manifest;
  manifest.content.step = std::numeric_limits<int64_t>::max();
  manifest.content.metrics = {{"inf", std::numeric_limits<double>::infinity()},
                              {"minus", -std::numeric_limits<double>::infinity()},
                              {"tiny", std::numeric_limits<double>::denorm_min()},
                              {"third", 1.0 / 3}};
  manifest.files["a"] = {std::numeric_limits<int64_t>::max(), UINT64_MAX};
  const auto read = ParseManifest(*FormatManifest(manifest));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->content.metrics, manifest.content.metrics);
  EXPECT_EQ(read->content.step, manifest.content.step);
  EXPECT_EQ(read->files.at("a").bytes, manifest.files.at("a").bytes);
  EXPECT_EQ(read->files.at("a").xxh3, UINT64_MAX);
}

TEST_F(CheckpointTest, ListIsNewestFirstAndNamesTheBroken) {
  EXPECT_TRUE(ListCheckpoints(directory_, nullptr).ok()) << "a missing folder holds no checkpoints";
  for (const int64_t step : {9, 100, 20}) MustWrite(step);
  Write(Path(20) + "/manifest.json", "{}");
  fs::create_directory(directory_ + "/.tmp-step-000000000101");
  fs::rename(Path(9), Path(8));
  MustWrite(3);
  std::vector<std::pair<std::string, std::string>> broken;
  const auto list = ListCheckpoints(directory_, &broken);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].manifest.step, 100);
  EXPECT_EQ((*list)[1].manifest.step, 3);
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_EQ(broken[0].first, Path(20));
  EXPECT_THAT(broken[1].second, HasSubstr("renamed"));
}

TEST_F(CheckpointTest, NewestWholeSkipsTheDamagedAndSaysWhy) {
  std::vector<std::string> skipped;
  EXPECT_EQ(NewestWhole(directory_, &skipped).status().code(), absl::StatusCode::kNotFound);
  for (const int64_t step : {1, 2, 3}) MustWrite(step);
  std::string model = Read(Path(3) + "/model.safetensors");
  model[model.size() / 2] ^= 1;
  Write(Path(3) + "/model.safetensors", model);
  Write(Path(2) + "/manifest.json", "");
  const auto newest = NewestWhole(directory_, &skipped);
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->manifest.step, 1);
  EXPECT_THAT(skipped, ElementsAre(HasSubstr(Path(3) + "/model.safetensors"), HasSubstr(Path(2))));
  fs::remove(Path(1) + "/spec.yaml");
  const absl::Status status = NewestWhole(directory_, nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  for (const int64_t step : {1, 2, 3}) EXPECT_THAT(std::string(status.message()), HasSubstr(Path(step)));
}

TEST_F(CheckpointTest, RetentionKeepsTheNewestAndTheBestAndSweepsLeftovers) {
  for (const int64_t step : {1, 2, 3, 4, 5, 6}) MustWrite(step, step == 1 || step == 2);
  fs::create_directories(directory_ + "/.tmp-step-000000000006-g4/x");
  fs::create_directories(directory_ + "/.tmp-step-000000000007-g4/x");  // other ranks may be writing it
  const auto removed = ApplyRetention(directory_, 2);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_THAT(*removed, ElementsAre(Path(4), Path(3), Path(1), directory_ + "/.tmp-step-000000000006-g4"));
  EXPECT_THAT(Names(directory_), ElementsAre(".tmp-step-000000000007-g4", "step-000000000002",
                                             "step-000000000005", "step-000000000006"));
  EXPECT_THAT(*ApplyRetention(directory_, 2), IsEmpty());
  EXPECT_EQ(ApplyRetention(directory_, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointTest, RetentionNeverCountsADamagedOne) {
  for (const int64_t step : {1, 2, 3}) MustWrite(step);
  Write(Path(3) + "/manifest.json", "");
  Write(Path(1) + "/manifest.json", "");
  ASSERT_TRUE(ApplyRetention(directory_, 1).ok());
  EXPECT_THAT(Names(directory_), ElementsAre("step-000000000002", "step-000000000003"));
}

TEST_F(CheckpointTest, AModelFolderHasTheSameBytesForTheSameWeights) {
  CheckpointContent content = Content(7);
  const auto first = WriteModel(root_ + "/model", content.manifest, content.model, content.files);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), 64u);
  content.manifest.job_id = "another";
  EXPECT_EQ(*WriteModel(root_ + "/other/model/", content.manifest, content.model, {}), *first);
  weights_[0] = 1;
  EXPECT_NE(*WriteModel(root_ + "/model", content.manifest, content.model, {}), *first);
  const auto opened = OpenCheckpoint(root_ + "/model");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT(opened->optimizer, IsEmpty());
}

TEST_F(CheckpointTest, AModelsSha256IsThatOfTheFile) {
  // "{}" padded to 56 bytes behind its length: known from sha256sum.
  const auto sha256 = WriteModel(root_ + "/model", {}, {}, {});
  ASSERT_TRUE(sha256.ok()) << sha256.status();
  const std::string command = "sha256sum " + root_ + "/model/model.safetensors";
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char output[65] = {};
  EXPECT_EQ(fread(output, 1, 64, pipe), 64u);
  pclose(pipe);
  EXPECT_EQ(*sha256, output);
}

}  // namespace
}  // namespace lockstep
