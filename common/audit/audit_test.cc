#include "common/audit/audit.h"

#include "common/numerics/permutation.h"
#include "common/numerics/sample_digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kSeed = 7;
constexpr int64_t kSamples = 103, kBatch = 10, kStepsPerEpoch = 11;  // the last batch has 3

// The range of step `step`, read as it should be.
SampleRange Step(int64_t step) {
  SampleRange range;
  range.epoch = step / kStepsPerEpoch;
  range.epoch_samples = kSamples;
  range.first_step = step;
  range.steps = 1;
  range.first = step % kStepsPerEpoch * kBatch;
  range.samples = std::min(kBatch, kSamples - range.first);
  const Permutation order(kSeed, static_cast<uint64_t>(range.epoch), kSamples);
  for (int64_t i = 0; i < range.samples; ++i) range.digest += SampleShare(order.At(range.first + i));
  return range;
}

int64_t SampleAt(int64_t epoch, int64_t position) {
  return Permutation(kSeed, static_cast<uint64_t>(epoch), kSamples).At(position);
}

SampleLedger Ledger(int64_t steps) {
  SampleLedger ledger;
  for (int64_t step = 0; step < steps; ++step) ledger.Add(Step(step));
  return ledger;
}

TEST(AuditTest, UndisturbedEpochsAreProved) {
  const Audit audit = AuditSamples(Ledger(25), kSeed, 25);
  EXPECT_THAT(audit.problems, IsEmpty());
  EXPECT_EQ(audit.steps, 25);
  EXPECT_EQ(audit.epochs, 2);
  EXPECT_EQ(audit.samples, kSamples);
  EXPECT_EQ(audit.samples_of_last, 3 * kBatch);
  EXPECT_EQ(AuditSamples(Ledger(22), kSeed, 22).samples_of_last, 0);
}

TEST(AuditTest, ALedgerOfNothingIsProvedOfNothing) {
  EXPECT_THAT(AuditSamples(SampleLedger(), kSeed, 0).problems, IsEmpty());
}

TEST(AuditTest, TheOrderOfAnotherSeedIsNotThisJobs) {
  // Whole epochs hold the same samples in any order; the one under way does not.
  EXPECT_THAT(AuditSamples(Ledger(25), kSeed + 1, 25).problems,
              ElementsAre(HasSubstr("more than one differs")));
}

TEST(AuditTest, AStepThatIsLeftOutIsNamedWithItsFirstSample) {
  SampleLedger ledger;
  for (int64_t step = 0; step < 25; ++step) {
    if (step != 13) ledger.Add(Step(step));
  }
  EXPECT_THAT(AuditSamples(ledger, kSeed, 25).problems,
              ElementsAre(HasSubstr("steps 13 to 13 left no record"),
                          HasSubstr(absl::StrCat("epoch 1: sample ", SampleAt(1, 20),
                                                 " (position 20) was not used"))));
}

TEST(AuditTest, AStepThatIsDoneTwiceIsNamedWithItsFirstSample) {
  SampleLedger ledger;
  for (int64_t step = 0; step < 25; ++step) {
    ledger.Add(Step(step));
    if (step == 13) ledger.Add(Step(step));
  }
  EXPECT_THAT(
      AuditSamples(ledger, kSeed, 25).problems,
      ElementsAre("step 13 was done twice",
                  HasSubstr(absl::StrCat("sample ", SampleAt(1, 20), " (position 20) was used twice"))));
}

TEST(AuditTest, AnEpochThatEndsEarlyIsNamed) {
  SampleLedger ledger = Ledger(8);
  SampleRange next = Step(kStepsPerEpoch);
  next.first_step = 8;
  ledger.Add(next);
  EXPECT_THAT(AuditSamples(ledger, kSeed, 9).problems,
              ElementsAre(HasSubstr(
                  absl::StrCat("epoch 0: sample ", SampleAt(0, 80), " (position 80) was not used"))));
}

TEST(AuditTest, StepsWithoutARecordAtTheEndAreToldFromTheWeights) {
  EXPECT_THAT(AuditSamples(Ledger(25), kSeed, 26).problems,
              ElementsAre(HasSubstr("the weights have 26 steps in them, the ledger knows of 25")));
}

TEST(AuditTest, AWrongReadIsToldFromTheDigest) {
  const auto problems = [](uint64_t change) {
    SampleLedger ledger;
    for (int64_t step = 0; step < 25; ++step) {
      SampleRange range = Step(step);
      if (step == 15) range.digest += change;
      ledger.Add(range);
    }
    return AuditSamples(ledger, kSeed, 25).problems;
  };
  const int64_t twice = SampleAt(1, 3), missing = SampleAt(1, 47);
  EXPECT_THAT(problems(SampleShare(twice) - SampleShare(missing)),
              ElementsAre(HasSubstr(absl::StrCat("sample ", missing, " (position 47) was not used, sample ",
                                                 twice, " was used in its place"))));
  EXPECT_THAT(problems(SampleShare(twice)),
              ElementsAre(HasSubstr(absl::StrCat("sample ", twice, " was used once more"))));
  EXPECT_THAT(problems(0 - SampleShare(missing)),
              ElementsAre(HasSubstr(absl::StrCat("sample ", missing, " (position 47) was not used"))));
  EXPECT_THAT(problems(12345), ElementsAre(HasSubstr("more than one differs")));
}

TEST(AuditTest, NumbersThatCannotBeAreRefusedNotFollowed) {
  SampleLedger ledger;
  SampleRange range = Step(0);
  range.samples = kSamples + 1;
  ledger.Add(range);
  EXPECT_THAT(AuditSamples(ledger, kSeed, 1).problems, ElementsAre(HasSubstr("beyond the epoch's 103")));
  ledger = Ledger(3);
  range = Step(3);
  range.epoch_samples = 5;
  ledger.Add(range);
  EXPECT_THAT(AuditSamples(ledger, kSeed, 4).problems, ElementsAre(HasSubstr("an epoch has 5 samples")));
}

TEST(SampleLedgerTest, NeighboursOfOneEpochAreOneRange) {
  EXPECT_EQ(Ledger(25).ranges().size(), 3u);
  EXPECT_EQ(Ledger(25).ranges()[0].samples, kSamples);
  EXPECT_EQ(Ledger(25).ranges()[2].steps, 3);
}

TEST(SampleLedgerTest, SurvivesItsText) {
  const SampleLedger ledger = Ledger(25);
  const auto again = SampleLedger::Parse(ledger.ToText());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->ToText(), ledger.ToText());
  EXPECT_THAT(AuditSamples(*again, kSeed, 25).problems, IsEmpty());
}

TEST(SampleLedgerTest, DamagedTextIsRefusedWithItsLine) {
  EXPECT_THAT(SampleLedger::Parse("nonsense\n").status().message(), HasSubstr("line 1"));
  std::string text = Ledger(25).ToText();
  for (const char* line :
       {"1,2,3\n", "0,103,0,1,0,-10,00\n", "0,103,0,1,0,10,xyz\n", "0,103,9223372036854775807,1,0,10,00\n"}) {
    EXPECT_THAT(SampleLedger::Parse(text + line).status().message(), HasSubstr("line 5")) << line;
  }
}

}  // namespace
}  // namespace lockstep
