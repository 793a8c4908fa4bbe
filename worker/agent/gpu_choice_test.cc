#include "worker/agent/gpu_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace lockstep::gpu_choice_test {
namespace {

using ::testing::HasSubstr;

constexpr int kCuda = 13;

class GpuChoiceTest : public testing::Test {
 protected:
  void SetUp() override { ::setenv("LOCKSTEP_NVML", FAKE_NVML_PATH, 1); }
  void TearDown() override {
    for (const char* name : {"LOCKSTEP_NVML", "FAKE_NVML_GPUS", "FAKE_NVML_CUDA", "FAKE_NVML_INIT"}) {
      ::unsetenv(name);
    }
  }
  static void ExpectError(const std::string& wanted, absl::StatusCode code, const std::string& part) {
    const absl::Status status = ChooseGpus(wanted, kCuda).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    EXPECT_THAT(std::string(status.message()), HasSubstr("--gpus " + wanted));
  }
};

TEST_F(GpuChoiceTest, AutoTakesAllAndKnowsThem) {
  const auto choice = ChooseGpus("auto", kCuda);
  ASSERT_TRUE(choice.ok()) << choice.status();
  ASSERT_EQ(choice->gpus.size(), 2u);
  EXPECT_EQ(choice->gpus[1].index, 1);
  EXPECT_EQ(choice->gpus[1].uuid, "GPU-fa4e0000-0000-0000-0000-000000000001");
  EXPECT_EQ(choice->gpus[1].name, "Fake H1");
  EXPECT_EQ(choice->gpus[1].memory, int64_t{8} << 30);
  EXPECT_EQ(choice->note, "driver 999.01");
}

TEST_F(GpuChoiceTest, AutoWithoutADriverIsANoteAndNoError) {
  ::setenv("LOCKSTEP_NVML", "/no/such/library.so", 1);
  const auto choice = ChooseGpus("auto", kCuda);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_TRUE(choice->gpus.empty());
  EXPECT_THAT(choice->note, HasSubstr("no NVIDIA driver"));
  ExpectError("1", absl::StatusCode::kFailedPrecondition, "no NVIDIA driver");
}

TEST_F(GpuChoiceTest, NoneLoadsNothing) {
  ::setenv("LOCKSTEP_NVML", "/no/such/library.so", 1);
  const auto choice = ChooseGpus("none", kCuda);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_TRUE(choice->gpus.empty());
  EXPECT_TRUE(choice->note.empty());
}

TEST_F(GpuChoiceTest, ABuildWithoutCudaTakesNone) {
  EXPECT_TRUE(ChooseGpus("auto", 0)->gpus.empty());
  EXPECT_THAT(std::string(ChooseGpus("1", 0).status().message()), HasSubstr("this build has no CUDA"));
}

TEST_F(GpuChoiceTest, ADriverThatIsTooOldOrNotLoadedIsNamed) {
  ::setenv("FAKE_NVML_CUDA", "12080", 1);
  ExpectError("2", absl::StatusCode::kFailedPrecondition,
              "the driver 999.01 serves CUDA 12, this build needs CUDA 13");
  EXPECT_TRUE(ChooseGpus("auto", kCuda)->gpus.empty());
  ::setenv("FAKE_NVML_INIT", "9", 1);
  ExpectError("2", absl::StatusCode::kFailedPrecondition, "Driver Not Loaded (9)");
}

TEST_F(GpuChoiceTest, ANumberTakesTheFirstAndNoMoreThanThereAre) {
  EXPECT_EQ(ChooseGpus("1", kCuda)->gpus.size(), 1u);
  ExpectError("3", absl::StatusCode::kFailedPrecondition, "this machine has 2 (GPU-fa4e");
}

TEST_F(GpuChoiceTest, UuidsAreTakenInTheirOrder) {
  const std::string zero = "GPU-fa4e0000-0000-0000-0000-000000000000",
                    one = "GPU-fa4e0000-0000-0000-0000-000000000001";
  const auto choice = ChooseGpus(one + "," + zero, kCuda);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->gpus[0].uuid, one);
  EXPECT_EQ(choice->gpus[1].uuid, zero);
  ExpectError(one + ",GPU-other", absl::StatusCode::kInvalidArgument, "no GPU GPU-other; it has GPU-fa4e");
  ExpectError(one + "," + one, absl::StatusCode::kInvalidArgument, "twice");
}

TEST_F(GpuChoiceTest, WhatIsNoChoiceIsRefused) {
  for (const char* wanted : {"all", "", "-1", "1.5", "GPU-a,,"}) {
    EXPECT_EQ(ChooseGpus(wanted, kCuda).status().code(), absl::StatusCode::kInvalidArgument) << wanted;
  }
}

TEST_F(GpuChoiceTest, ReadingsAreInBaseUnits) {
  const auto choice = ChooseGpus("1", kCuda);
  const GpuReadings readings = choice->nvml->Read(choice->gpus[0].uuid);
  EXPECT_DOUBLE_EQ(*readings.utilization, 0.75);
  EXPECT_DOUBLE_EQ(*readings.used_memory, 2.0 * (1 << 30));
  EXPECT_DOUBLE_EQ(*readings.temperature, 61);
  EXPECT_DOUBLE_EQ(*readings.power, 350.5);
  EXPECT_GE(*readings.energy, 1005);
}

}  // namespace
}  // namespace lockstep::gpu_choice_test
