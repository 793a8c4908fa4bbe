#include "client/cli/chaos_report.h"

#include "absl/strings/str_split.h"
#include "client/render/proto_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ChaosReportTest : public ::testing::Test {
 protected:
  v1::FaultOutcome* Fault() {
    v1::FaultOutcome* fault = report_.add_faults();
    fault->mutable_planned()->set_fault(v1::FAULT_KIND_KILL);
    fault->mutable_planned()->set_worker("w1");
    return fault;
  }
  void Fault(double detection, double regroup, int64_t lost_steps, double lost_seconds) {
    v1::FaultOutcome* fault = Fault();
    fault->set_detection_seconds(detection);
    fault->set_regroup_seconds(regroup);
    fault->set_next_step_seconds(detection + regroup);
    fault->set_lost_steps(lost_steps);
    fault->set_lost_seconds(lost_seconds);
  }
  std::vector<std::string> Lines() {
    AddTotals(&report_);
    return absl::StrSplit(ChaosTable(report_), '\n', absl::SkipEmpty());
  }

  v1::ChaosReport report_;
};

TEST_F(ChaosReportTest, MediansLongestAndSumsAreOfTheFaults) {
  Fault(0.25, 0.5, 3, 0.75);
  Fault(0.125, 4, 0, 0);
  Fault(0.5, 0.25, 1, 0.25);
  const std::vector<std::string> lines = Lines();
  const v1::ChaosTotals& totals = report_.totals();
  EXPECT_EQ(totals.faults(), 3);
  EXPECT_EQ(totals.detection_median_seconds(), 0.25);
  EXPECT_EQ(totals.detection_longest_seconds(), 0.5);
  EXPECT_EQ(totals.regroup_median_seconds(), 0.5);
  EXPECT_EQ(totals.regroup_longest_seconds(), 4);
  EXPECT_EQ(totals.next_step_median_seconds(), 0.75);
  EXPECT_EQ(totals.next_step_longest_seconds(), 4.125);
  EXPECT_EQ(totals.lost_steps(), 4);
  EXPECT_EQ(totals.lost_seconds(), 1);
  ASSERT_EQ(lines.size(), 7);
  EXPECT_EQ(lines[0], "FAULT    WORKER     AT  DETECTION   REGROUP  NEXT STEP  LOST STEPS  LOST TIME");
  EXPECT_EQ(lines[1], "kill     w1      0.0 s     250 ms    500 ms     750 ms           3     750 ms");
  EXPECT_EQ(lines[4], "median                     250 ms    500 ms     750 ms");
  EXPECT_EQ(lines[5], "longest                    500 ms  4,000 ms   4,125 ms");
  EXPECT_EQ(lines[6], "sum                                                              4   1,000 ms");
}

TEST_F(ChaosReportTest, TheMedianOfAnEvenNumberIsTheMeanOfTheTwoInTheMiddle) {
  for (const double detection : {8.0, 1.0, 2.0, 4.0}) Fault(detection, 0, 0, 0);
  AddTotals(&report_);
  EXPECT_EQ(report_.totals().detection_median_seconds(), 3);
}

TEST_F(ChaosReportTest, WhatIsNotKnownIsNoZero) {
  Fault()->set_detection_seconds(0.5);
  const std::vector<std::string> lines = Lines();
  EXPECT_EQ(lines[1], "kill     w1      0.0 s     500 ms        -          -           -          -");
  EXPECT_EQ(lines[2], "median                     500 ms        -          -");
  EXPECT_EQ(lines[4], "sum                                                             -          -");
  const std::string json = ProtoJson(report_, true);
  EXPECT_THAT(json, HasSubstr("\"detectionMedianSeconds\":0.5"));
  EXPECT_THAT(json, Not(HasSubstr("regroup")));
  EXPECT_THAT(json, Not(HasSubstr("lost")));
}

TEST_F(ChaosReportTest, AFaultThatCouldNotBeDoneCountsForNothing) {
  Fault(0.5, 0.5, 2, 0.5);
  Fault()->set_problem("worker w1 is not connected");
  const std::vector<std::string> lines = Lines();
  EXPECT_EQ(report_.totals().faults(), 1);
  EXPECT_EQ(report_.totals().detection_median_seconds(), 0.5);
  EXPECT_THAT(lines[2], HasSubstr("not done"));
}

TEST_F(ChaosReportTest, LostStepsOfUnknownLengthLeaveTheSumOfTimeOpen) {
  Fault(0.5, 0.5, 2, 0.5);
  Fault()->set_lost_steps(3);
  AddTotals(&report_);
  EXPECT_EQ(report_.totals().lost_steps(), 5);
  EXPECT_FALSE(report_.totals().has_lost_seconds());
}

}  // namespace
}  // namespace lockstep
