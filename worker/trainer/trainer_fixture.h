// For tests of whole jobs: the digits job of examples/ with overrides, in a folder of its own, on ranks that
// are threads.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/data/dataset.h"
#include "common/spec/spec.h"
#include "worker/trainer/in_process_job.h"

namespace lockstep {

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    std::string pattern = ::testing::TempDir() + "/trainer-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~TrainerTest() override { std::filesystem::remove_all(directory_); }

  InProcessJob::Options Job(const std::string& name, const std::vector<std::string>& overrides = {}) {
    InProcessJob::Options options;
    auto spec = ReadSpec(std::string(LOCKSTEP_SOURCE_DIR) + "/examples/digits.yaml", overrides);
    EXPECT_TRUE(spec.ok()) << spec.status();
    options.spec = *spec;
    EXPECT_TRUE(CompleteSpec(&options.spec).ok());
    auto dataset = InspectDataset(options.spec.dataset());
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    options.dataset = *dataset;
    options.directory = directory_ + "/" + name;
    std::filesystem::create_directories(options.directory);
    return options;
  }

  // Runs to the end on `world` ranks; the result of rank 0.
  v1::TrainResult Run(const InProcessJob::Options& options, int world) {
    InProcessJob job(options);
    job.StartGeneration(world);
    const auto ends = job.Wait();
    for (const auto& end : ends) EXPECT_EQ(end.state(), v1::ASSIGNMENT_STATE_SUCCEEDED) << end.message();
    return ends[0].result();
  }

  std::string directory_;
};

}  // namespace lockstep
