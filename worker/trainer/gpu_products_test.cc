// Whole jobs whose products are done by cuBLASLt's stand-in: where the choice is kept, and for how long. Each
// algorithm of the stand-in has bits of its own, so that a model tells which one it was trained with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/manifest.h"
#include "kernels/cublas/stand_in/lt.h"
#include "worker/trainer/product_store.h"
#include "worker/trainer/trainer_fixture.h"

namespace lockstep::gpu_products_test {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;
namespace stand_in = kernels::stand_in;

constexpr char kVariable[] = "LOCKSTEP_STAND_IN_LT";

class GpuProductsTest : public TrainerTest {
 protected:
  void SetUp() override { stand_in::Behave() = {}; }
  void TearDown() override {
    stand_in::Behave() = {};
    unsetenv(kVariable);
  }
  // From here on this algorithm is the fastest.
  static void SetFastest(int algorithm) { setenv(kVariable, std::to_string(algorithm).c_str(), 1); }

  std::string Root(const std::string& root) const { return directory_ + "/" + root; }
  // Six steps, a checkpoint after the third, under <root>/jobs/<name>.
  InProcessJob::Options Small(const std::string& root, const std::string& name,
                              const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides = {"train.epochs=1",
                                          "train.max_steps=6",
                                          "train.batch_size=16",
                                          "train.evaluate_every_steps=100",
                                          "checkpoint.every_steps=3",
                                          "checkpoint.keep_last=9",
                                          "model={mlp: {hidden: [12], activation: relu}}",
                                          "dataset.split={train: 0.9, validation: 0.05, test: 0.05}"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    InProcessJob::Options options = Job(root + "/jobs/" + name, overrides);
    options.on_gpu = true;
    return options;
  }
  static v1::AssignmentStatus EndOf(const InProcessJob::Options& options) {
    InProcessJob job(options);
    job.StartGeneration(1);
    return job.Wait()[0];
  }
  static std::string Model(const InProcessJob::Options& options) {
    const v1::AssignmentStatus end = EndOf(options);
    EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << end.message();
    return end.result().model_sha256();
  }
  static std::string CheckpointOf(const InProcessJob::Options& options) {
    const auto checkpoints = ListCheckpoints(options.directory + "/checkpoints", nullptr);
    EXPECT_TRUE(checkpoints.ok()) << checkpoints.status();
    for (const CheckpointInfo& checkpoint : *checkpoints) {
      if (checkpoint.manifest.step == 3) return checkpoint.path;
    }
    ADD_FAILURE() << "no checkpoint of step 3";
    return {};
  }
  std::vector<std::string> ProductFiles(const std::string& root) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(Root(root) + "/products")) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }
};

TEST_F(GpuProductsTest, LibraryThatIsNotThereOrSlowerCostsBits) {
  const std::string without = Model(Small("a", "without"));
  EXPECT_FALSE(fs::exists(Root("a") + "/products"));
  SetFastest(-1);
  EXPECT_EQ(Model(Small("b", "slower")), without);
  const std::vector<std::string> files = ProductFiles("b");
  EXPECT_EQ(files.size(), 5u) << "two layers forwards and back, one input";
  for (const std::string& file : files) EXPECT_THAT(*ReadSmallFile(file, 4096), HasSubstr(" own\n")) << file;
}

TEST_F(GpuProductsTest, JobSubmittedAgainChoosesAnew) {
  SetFastest(stand_in::kBackwards);
  const std::string first = Model(Small("one", "first"));
  EXPECT_EQ(ProductFiles("one").size(), 5u);
  SetFastest(stand_in::kEvenFirst);
  EXPECT_EQ(Model(Small("one", "second")), first);
  EXPECT_NE(Model(Small("other", "second")), first) << "a cluster that has never timed anything";
}

TEST_F(GpuProductsTest, RestartFromACheckpointChoosesAnew) {
  SetFastest(stand_in::kBackwards);
  const InProcessJob::Options options = Small("one", "whole");
  const std::string whole = Model(options);
  fs::remove_all(Root("one") + "/products");
  SetFastest(stand_in::kEvenFirst);
  InProcessJob::Options again = Small("one", "again");
  again.restore_from = CheckpointOf(options);
  EXPECT_EQ(Model(again), whole);
  EXPECT_FALSE(fs::exists(Root("one") + "/products")) << "something was timed again";
}

TEST_F(GpuProductsTest, WeightsAloneBringTheirChoice) {
  SetFastest(stand_in::kBackwards);
  const InProcessJob::Options options = Small("one", "whole");
  Model(options);
  std::vector<std::string> models;
  for (const int fastest : {stand_in::kBackwards, stand_in::kEvenFirst}) {
    SetFastest(fastest);
    InProcessJob::Options again = Small("root" + std::to_string(fastest), "again");
    again.restore_from = CheckpointOf(options);
    again.weights_only = true;
    models.push_back(Model(again));
  }
  EXPECT_NE(models[0], models[1]);
}

TEST_F(GpuProductsTest, CheckpointWithoutARecordGetsOne) {
  const InProcessJob::Options options = Small("one", "whole");
  const std::string whole = Model(options);  // without the library
  SetFastest(stand_in::kBackwards);
  InProcessJob::Options again = Small("one", "again");
  again.restore_from = CheckpointOf(options);
  EXPECT_EQ(Model(again), whole);

  // As versions wrote it that knew nothing of products.
  StoredManifest manifest = *ReadManifest(again.restore_from);
  ASSERT_EQ(manifest.content.program_state.erase("products"), 1u);
  std::ofstream(again.restore_from + "/manifest.json", std::ios::trunc) << *FormatManifest(manifest);
  again.directory = Small("one", "earlier").directory;
  EXPECT_EQ(Model(again), whole);
}

TEST_F(GpuProductsTest, DamagedFileEndsTheJobOrIsTaken) {
  SetFastest(stand_in::kBackwards);
  const std::string first = Model(Small("one", "first"));
  const std::string whole = *ReadSmallFile(ProductFiles("one")[0], 4096);
  int number = 0;
  for (const std::string& content :
       {std::string(), whole.substr(0, whole.size() / 2),
        std::string(whole).replace(whole.find(" 4c6f") + 30, 1, "9"), std::string(100'000, 'x')}) {
    std::ofstream(ProductFiles("one")[0], std::ios::trunc) << content;
    EXPECT_EQ(Model(Small("one", "again" + std::to_string(number++))), first);
    EXPECT_EQ(*ReadSmallFile(ProductFiles("one")[0], 4096), whole) << "it was not written anew";
  }
}

TEST_F(GpuProductsTest, AlgorithmThatIsGoneIsReplacedInSilence) {
  SetFastest(stand_in::kBackwards);
  const InProcessJob::Options options = Small("one", "whole");
  Model(options);
  InProcessJob::Options again = Small("one", "again");
  again.restore_from = CheckpointOf(options);
  stand_in::Behave().refuses = stand_in::kBackwards;
  v1::AssignmentStatus end = EndOf(again);
  EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_FAILED) << end.message();
  EXPECT_THAT(end.message(), HasSubstr("cannot be used here"));
  EXPECT_THAT(end.message(), HasSubstr("from: { job"));
  unsetenv(kVariable);  // the library is gone as well
  end = EndOf(again);
  EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_FAILED) << end.message();
  EXPECT_THAT(end.message(), HasSubstr("LOCKSTEP_CUBLASLT"));
}

TEST_F(GpuProductsTest, JobThatNeedNotBeReproducibleIsHeldToItsRecord) {
  SetFastest(stand_in::kSplit);
  const InProcessJob::Options options = Small("one", "whole", {"reproducible=false"});
  const int64_t before = stand_in::Uses(stand_in::kSplit);
  Model(options);
  EXPECT_GT(stand_in::Uses(stand_in::kSplit), before);
  stand_in::Behave().version = 130100;
  InProcessJob::Options again = Small("one", "again", {"reproducible=false"});
  again.restore_from = CheckpointOf(options);
  EXPECT_EQ(EndOf(again).state(), v1::ASSIGNMENT_STATE_SUCCEEDED);
  InProcessJob::Options bound = Small("one", "bound");
  bound.restore_from = CheckpointOf(options);
  const v1::AssignmentStatus end = EndOf(bound);
  EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_FAILED);
  EXPECT_THAT(end.message(), HasSubstr("cuBLASLt 13.1.0"));
}

TEST_F(GpuProductsTest, SecondWriterOfAStoreWins) {
  const ProductStore store(directory_ + "/products");
  engine::ProductChoices first, second;
  first.device = second.device = "a device, of sm_90";
  first.of["x"] = kernels::LtAlgorithm{{1}};
  second.of["x"] = kernels::LtAlgorithm{{2}};
  second.of["y"] = std::nullopt;
  ASSERT_TRUE(store.Enter(&first).ok());
  ASSERT_TRUE(store.Enter(&second).ok());
  EXPECT_EQ(second.of["x"], first.of["x"]);
  EXPECT_EQ(store.Load(first.device).of, second.of);
  EXPECT_TRUE(store.Load("another").of.empty());
  for (const std::string& file : {std::string("a_device__of_sm_90/x"), std::string("a_device__of_sm_90/y")}) {
    EXPECT_TRUE(fs::exists(directory_ + "/products/" + file)) << file;
  }
}

TEST_F(GpuProductsTest, StoreThatCannotBeWrittenEndsTheJob) {
  SetFastest(stand_in::kBackwards);
  const InProcessJob::Options options = Small("one", "job");
  std::ofstream(Root("one") + "/products") << "in the way";
  EXPECT_NE(Model(options), "");
}

}  // namespace
}  // namespace lockstep::gpu_products_test
