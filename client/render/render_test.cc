#include <cmath>
#include <limits>

#include "client/render/plot.h"
#include "client/render/progress.h"
#include "client/render/proto_json.h"
#include "client/render/views.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

v1::Job Running(int64_t step, double epoch) {
  v1::Job job;
  job.set_id("j1");
  job.set_name("digits");
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_generation(1);
  auto* member = job.add_members();
  member->set_worker("node-0");
  member->set_device("cpu:0");
  auto* progress = job.mutable_progress();
  progress->set_step(step);
  progress->set_total_steps(440);
  progress->set_epoch(epoch);
  progress->set_total_epochs(20);
  progress->set_train_loss(0.21345678);
  progress->set_validation_loss(0.3012);
  progress->set_validation_accuracy(0.9124);
  progress->set_samples_per_second(51200.4);
  progress->mutable_remaining()->set_seconds(72);
  return job;
}

Style Wide() {
  Style style;
  style.width = 200;
  return style;
}

TEST(Text, NumbersReadWell) {
  EXPECT_EQ(NumberText(0.0317249), "0.03172");
  EXPECT_EQ(NumberText(1e-9), "1e-09");
  EXPECT_EQ(NumberText(std::nan("")), "nan");
  EXPECT_EQ(CountText(1797), "1,797");
  EXPECT_EQ(CountText(-1234567), "-1,234,567");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(BytesText(1023), "1023 B");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(std::numeric_limits<int64_t>::max()), "8.0 EiB");
}

TEST(Text, DurationsReadWell) {
  EXPECT_EQ(DurationText(absl::Milliseconds(420)), "0.4 s");
  EXPECT_EQ(DurationText(absl::Milliseconds(9960)), "10 s");
  EXPECT_EQ(DurationText(absl::Seconds(185)), "3m 05s");
  EXPECT_EQ(DurationText(absl::Seconds(7800)), "2h 10m");
  EXPECT_EQ(DurationText(absl::Hours(76)), "3d 4h");
  EXPECT_EQ(DurationText(-absl::Seconds(3)), "0.0 s");
}

TEST(Text, TablesAlignByDisplayWidthAndLeaveNoTrailingSpace) {
  EXPECT_EQ(TableText({{"NAME", "N"}, {"zwölf", "12"}, {"a", "1"}}, {false, true}),
            "NAME    N\nzwölf  12\na       1\n");
  EXPECT_EQ(TableText({{"A", "B"}, {"x", ""}}), "A  B\nx\n");
}

TEST(Text, ForeignTextCannotSteerTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[31mb\r\tc\x7f"), "a?[31mb?    c?");
}

TEST(Style, PaintsOnlyWithColor) {
  Style style;
  EXPECT_EQ(style.Red("x"), "x");
  style.color = true;
  EXPECT_EQ(style.Red("x"), "\x1b[31mx\x1b[0m");
}

TEST(ProgressLine, TellsStepLossValidationSpeedAndTimeLeft) {
  EXPECT_EQ(ProgressLine(Running(72, 3.27), Wide(), false),
            "digits  epoch 3.3/20  step 72/440  loss 0.2135  validation 0.3012 (accuracy 0.9124)  51,200 "
            "samples/s  1m 12s "
            "left");
}

TEST(ProgressLine, BarsFillInAsciiAndUnicode) {
  EXPECT_THAT(ProgressLine(Running(220, 10), Wide(), true), StartsWith("[##########..........] digits"));
  Style style = Wide();
  style.unicode = true;
  EXPECT_THAT(ProgressLine(Running(220, 10), style, true), StartsWith("▕██████████          ▏ digits"));
  EXPECT_THAT(ProgressLine(Running(9999, 10), Wide(), true), StartsWith("[####################]"));
}

TEST(ProgressLine, IsCutToTheTerminal) {
  Style style;
  style.unicode = true;
  style.width = 30;
  EXPECT_EQ(DisplayWidth(ProgressLine(Running(72, 3.2), style, true)), 30u);
}

TEST(ProgressLine, MissingFiguresAreLeftOut) {
  v1::Job job;
  job.set_name("x");
  job.mutable_progress()->set_step(3);
  EXPECT_EQ(ProgressLine(job, Wide(), false), "x  step 3  loss 0");
}

TEST(StateLine, NamesDevicesOrReason) {
  EXPECT_EQ(StateLine(Running(1, 0), Wide()), "digits (j1) is running on node-0 cpu:0");
  v1::Job job = Running(1, 0);
  job.set_state(v1::JOB_STATE_QUEUED);
  job.set_reason("waits for 2 devices, 1 is free");
  EXPECT_EQ(StateLine(job, Wide()), "digits (j1) is queued: waits for 2 devices, 1 is free");
}

TEST(ProgressReporter, PlainLinesComeOncePerEpochButNotMoreThanOnceASecond) {
  ProgressReporter reporter(Wide(), /*live=*/false);
  absl::Time now = absl::FromUnixSeconds(1000);
  EXPECT_THAT(reporter.Update(Running(1, 0.1), now),
              HasSubstr("is running on node-0 cpu:0\ndigits  epoch 0.1/20"));
  EXPECT_EQ(reporter.Update(Running(30, 1.1), now += absl::Milliseconds(500)), "");
  EXPECT_THAT(reporter.Update(Running(60, 1.5), now += absl::Milliseconds(600)),
              StartsWith("digits  epoch 1.5/20"));
  EXPECT_EQ(reporter.Update(Running(61, 1.6), now += absl::Milliseconds(4900)), "");
  EXPECT_THAT(reporter.Update(Running(62, 1.7), now += absl::Milliseconds(200)),
              StartsWith("digits  epoch 1.7/20"));
  EXPECT_EQ(reporter.Update(Running(62, 1.7), now += absl::Minutes(1)), "") << "no news, no line";
}

TEST(ProgressReporter, TheEndShowsTheLastFiguresAndTheReason) {
  ProgressReporter reporter(Wide(), /*live=*/false);
  const absl::Time now = absl::FromUnixSeconds(1000);
  reporter.Update(Running(1, 0.1), now);
  v1::Job end = Running(440, 20);
  end.set_state(v1::JOB_STATE_SUCCEEDED);
  end.set_reason("all epochs done");
  const std::string text = reporter.Update(end, now);
  EXPECT_THAT(text, StartsWith("digits  epoch 20.0/20  step 440/440"));
  EXPECT_THAT(text, EndsWith("digits (j1) succeeded: all epochs done\n"));
  EXPECT_THAT(text, Not(HasSubstr("left")));
}

TEST(ProgressReporter, TheLiveLineIsRedrawnAtMostTenTimesASecondAndCleared) {
  ProgressReporter reporter(Wide(), /*live=*/true);
  absl::Time now = absl::FromUnixSeconds(1000);
  EXPECT_THAT(reporter.Update(Running(1, 0.1), now), AllOf(HasSubstr("\n\r["), EndsWith("\x1b[K")));
  EXPECT_EQ(reporter.Update(Running(2, 0.1), now += absl::Milliseconds(50)), "");
  EXPECT_THAT(reporter.Update(Running(3, 0.1), now += absl::Milliseconds(60)), StartsWith("\r["));
  v1::Job end = Running(440, 20);
  end.set_state(v1::JOB_STATE_FAILED);
  EXPECT_THAT(reporter.Update(end, now), StartsWith("\r\x1b[Kdigits (j1) failed"));
  EXPECT_EQ(reporter.Clear(), "") << "already clear";
}

TEST(PlotText, AsciiCurveHasAxesLegendAndRange) {
  PlotOptions options;
  options.style.width = 30;
  options.height = 5;
  options.x_label = "epoch";
  const std::string text = PlotText({{"train/loss", {{0, 4}, {1, 2}, {2, 1}, {3, 0}}}}, options);
  EXPECT_EQ(text,
            "   ** train/loss (last 0)\n"
            "4 +**\n"
            "  |  ****\n"
            "  |      *******\n"
            "  |             ********\n"
            "0 +                     *****\n"
            "  +--------------------------\n"
            "   0         epoch          3\n");
}

TEST(PlotText, UnicodeUsesBrailleAndEachSeriesItsColor) {
  PlotOptions options;
  options.style.unicode = true;
  options.style.color = true;
  options.style.width = 40;
  const std::string text = PlotText({{"a", {{0, 1}, {1, 0}}}, {"b", {{0, 0}, {1, 1}}}}, options);
  EXPECT_THAT(text, HasSubstr("\x1b[36m"));
  EXPECT_THAT(text, HasSubstr("\x1b[33m"));
  EXPECT_THAT(text, HasSubstr("└──"));
  EXPECT_THAT(text, HasSubstr("\xE2\xA0"));
}

TEST(PlotText, WithoutColorTheSeriesStillDiffer) {
  PlotOptions options;
  options.style.unicode = true;
  options.style.width = 40;
  const std::string text = PlotText({{"a", {{0, 1}, {1, 0}}}, {"b", {{0, 0}, {1, 1}}}}, options);
  EXPECT_THAT(text, HasSubstr("oo b (last 1)"));
  EXPECT_THAT(text, HasSubstr("\xE2\xA0\xA4 a (last 0)"));
  EXPECT_THAT(text, HasSubstr("o\n"));
}

TEST(PlotText, SinglePointsConstantsAndNonFiniteValuesAreDrawnOrLeftOut) {
  PlotOptions options;
  EXPECT_THAT(PlotText({{"a", {{5, 3}}}}, options), HasSubstr("*"));
  EXPECT_THAT(PlotText({{"a", {{0, 3}, {1, 3}, {2, std::nan("")}}}}, options), HasSubstr("(last 3)"));
  EXPECT_EQ(PlotText({{"a", {{0, std::nan("")}}}}, options), "");
  EXPECT_EQ(PlotText({{"a", {}}}, options), "");
  options.logarithmic = true;
  EXPECT_EQ(PlotText({{"a", {{0, -1}, {1, 0}}}}, options), "");
  EXPECT_THAT(PlotText({{"a", {{0, 1}, {1, 0.01}}}}, options),
              AllOf(HasSubstr("0.01 +"), HasSubstr("   1 +")));
}

TEST(Views, JobsHaveAHeadInCapitalsAndOneLineEach) {
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = Running(220, 10);
  (*jobs.mutable_jobs(0)->mutable_metrics())["test/accuracy"] = 0.975;
  jobs.mutable_jobs(0)->mutable_submitted_at()->set_seconds(940);
  EXPECT_EQ(JobsView(jobs, absl::FromUnixSeconds(1000)),
            "ID  NAME    STATE    PROGRESS  RESULT               DEVICES  AGE\n"
            "j1  digits  running  50%       test accuracy 0.975  1        1m 00s ago\n");
  EXPECT_EQ(JobsView({}, absl::FromUnixSeconds(0)), "ID  NAME  STATE  PROGRESS  RESULT  DEVICES  AGE\n");
}

TEST(Views, AJobsPageHasItsMetricsMatrixAndSpec) {
  v1::Job job = Running(440, 20);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_spec()->set_name("digits");
  (*job.mutable_metrics())["test/accuracy"] = 0.975;
  job.mutable_confusion_matrix()->add_classes("cat");
  job.mutable_confusion_matrix()->add_classes("dog");
  for (const int count : {3, 1, 0, 16}) job.mutable_confusion_matrix()->add_counts(count);
  const std::string text = JobView(job, absl::FromUnixSeconds(0), Style());
  EXPECT_THAT(text, HasSubstr("State       succeeded\n"));
  EXPECT_THAT(text, HasSubstr("  test accuracy  0.9750\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "  truth \\ predicted  cat  dog\n  cat                  3    1\n  dog                  0   16\n"));
  EXPECT_THAT(text, HasSubstr("Spec\n  name: digits\n"));
}

TEST(Views, AResultShowsTheTestMetricsAlone) {
  v1::Job job = Running(440, 20);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_started_at()->set_seconds(10);
  job.mutable_finished_at()->set_seconds(12);
  (*job.mutable_metrics())["test/rmse"] = 53.21;
  (*job.mutable_metrics())["validation/rmse"] = 50;
  EXPECT_EQ(ResultView(job, Style()), "digits succeeded after 2.0 s of training\n  test rmse  53.21\n");
}

TEST(Views, MalformedMatricesAreNotRead) {
  v1::ConfusionMatrix matrix;
  matrix.add_classes("a");
  EXPECT_EQ(ConfusionMatrixView(matrix), "(malformed)\n");
}

TEST(Views, WorkersShowADeviceALine) {
  v1::ListWorkersResponse workers;
  auto* worker = workers.add_workers();
  worker->set_name("node-0");
  worker->set_host("h");
  worker->set_state(v1::WORKER_STATE_READY);
  worker->set_version("1");
  auto* device = worker->add_devices();
  device->mutable_device()->set_id("cpu:0");
  device->mutable_device()->mutable_profile()->set_instruction_set("avx2");
  device->set_job_id("j1");
  EXPECT_EQ(WorkersView(workers),
            "NAME    HOST  STATE  DEVICE  JOB  RANK  KIND  VERSION\nnode-0  h     ready  cpu:0   j1   0     "
            "avx2  1\n");
}

TEST(Views, AGpuIsShownByItsModel) {
  v1::ListWorkersResponse workers;
  v1::Device* device = workers.add_workers()->add_devices()->mutable_device();
  device->set_id("gpu:0");
  device->mutable_profile()->set_device_kind("gpu");
  device->mutable_profile()->set_device_model("NVIDIA H200");
  device->mutable_profile()->set_instruction_set("sm_90");
  EXPECT_THAT(WorkersView(workers), HasSubstr("NVIDIA H200"));
}

TEST(Views, ACordonedDeviceSaysWhy) {
  v1::ListWorkersResponse workers;
  auto* worker = workers.add_workers();
  worker->set_name("node-0");
  worker->set_state(v1::WORKER_STATE_READY);
  worker->add_devices()->mutable_device()->set_id("cpu:0");
  worker->mutable_devices(0)->set_cordoned("memory\x1b[2Jtest");
  EXPECT_THAT(WorkersView(workers), HasSubstr("CORDONED: memory?[2Jtest"));
}

TEST(Views, AnAuditSaysWhatWasProvedOrWhatWasNot) {
  v1::AuditJobResponse audit;
  audit.set_proved(true);
  audit.set_samples(1437);
  audit.set_steps(30);
  audit.set_samples_of_last(300);
  audit.set_source("/m");
  const Style plain;
  EXPECT_EQ(AuditView(audit, plain),
            "proved: 300 of 1,437 samples once in the epoch under way (30 steps)\nfrom /m/ledger.csv\n");
  audit.set_epochs(2);
  EXPECT_THAT(AuditView(audit, plain),
              HasSubstr("each of 1,437 samples was used exactly once in each of 2 epochs, "
                        "and 300 of 1,437 samples once in the epoch under way"));
  audit.set_proved(false);
  audit.add_problems("epoch 1: sample 7 was not used");
  EXPECT_THAT(AuditView(audit, plain), HasSubstr("NOT proved, after 30 steps:\n  epoch 1: sample 7"));
}

TEST(Views, BrokenCheckpointsSayWhy) {
  v1::ListCheckpointsResponse checkpoints;
  auto* checkpoint = checkpoints.add_checkpoints();
  checkpoint->set_step(10);
  checkpoint->set_problem("checksum of model.safetensors differs");
  EXPECT_THAT(CheckpointsView(checkpoints, absl::FromUnixSeconds(0)),
              HasSubstr("NO: checksum of model.safetensors differs"));
}

TEST(Views, ALogLineNamesTimeWorkerAndRank) {
  v1::LogLine line;
  line.mutable_time()->set_seconds(3661);
  line.mutable_time()->set_nanos(250000000);
  line.set_worker("node-0");
  line.set_rank(1);
  line.set_text("hello\x1b[2J");
  EXPECT_EQ(LogLineView(line, absl::UTCTimeZone()), "01:01:01.250 node-0/1 hello?[2J\n");
}

TEST(ProtoJson, IsTheCanonicalFormWithEmptyListsPresent) {
  EXPECT_EQ(ProtoJson(v1::ListWorkersResponse(), true), "{\"workers\":[]}\n");
  EXPECT_THAT(ProtoJson(Running(1, 0)), HasSubstr("\"state\": \"JOB_STATE_RUNNING\""));
}

}  // namespace
}  // namespace lockstep
