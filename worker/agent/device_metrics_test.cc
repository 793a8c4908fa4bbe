#include "worker/agent/device_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include "common/metrics/buckets.h"
#include "worker/agent/cpu_process.h"
#include "worker/agent/device_uuid.h"

namespace lockstep::device_metrics_test {
namespace {

std::string Page(const DeviceMetrics& metrics) {
  return prometheus::TextSerializer().Serialize(metrics.Collect());
}

DeviceMetrics::Device Busy() {
  DeviceMetrics::Device device;
  device.uuid = "CPU-1";
  device.job = "a-job";
  device.rank = 1;
  for (size_t i = 0; i <= kStepBuckets.size(); ++i) device.step_seconds.add_counts(1);
  device.step_seconds.set_sum(12);
  return device;
}

TEST(DeviceMetricsTest, AHistogramsBucketsAreCumulative) {
  DeviceMetrics metrics;
  metrics.Update("cpu:0", Busy());
  const std::string page = Page(metrics);
  const std::string series = "lockstep_step_duration_seconds";
  EXPECT_NE(page.find(series + "_bucket{job=\"a-job\",device=\"cpu:0\",le=\"0.0001\"} 1\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find(series + "_bucket{job=\"a-job\",device=\"cpu:0\",le=\"+Inf\"} 17\n"), std::string::npos)
      << page;
  EXPECT_NE(page.find(series + "_count{job=\"a-job\",device=\"cpu:0\"} 17\n"), std::string::npos);
  EXPECT_NE(page.find("job=\"a-job\",rank=\"1\""), std::string::npos);
}

TEST(DeviceMetricsTest, NoSeriesOutlivesItsJob) {
  DeviceMetrics metrics;
  metrics.Update("cpu:0", Busy());
  DeviceMetrics::Device free = Busy();
  free.job.clear();
  metrics.Update("cpu:0", free);
  EXPECT_EQ(Page(metrics).find("a-job"), std::string::npos);
  EXPECT_EQ(Page(metrics).find("lockstep_step_duration_seconds"), std::string::npos);
}

TEST(DeviceMetricsTest, AFreeDeviceIsIdleUpToTheScrape) {
  DeviceMetrics metrics;
  DeviceMetrics::Device device;
  device.ledger = DeviceLedger(SteadyNow() - absl::Hours(1));
  metrics.Update("cpu:0", device);
  EXPECT_NE(Page(metrics).find("lockstep_worker_device_seconds_total{device=\"cpu:0\",kind=\"idle\"} 3600"),
            std::string::npos)
      << Page(metrics);
}

TEST(CpuProcessTest, KnowsThisProcessAndNoOther) {
  const auto self = ReadCpuProcess(::getpid());
  ASSERT_TRUE(self.has_value());
  EXPECT_GT(self->resident_bytes, 1 << 20);
  EXPECT_GE(self->cpu_seconds, 0);
  EXPECT_FALSE(ReadCpuProcess(1 << 30).has_value());
}

TEST(DeviceUuidTest, IsTheSameEachTimeAndDiffersBySlotAndWorker) {
  EXPECT_EQ(CpuSlotUuid("node-1", 0), CpuSlotUuid("node-1", 0));
  EXPECT_NE(CpuSlotUuid("node-1", 0), CpuSlotUuid("node-1", 1));
  EXPECT_NE(CpuSlotUuid("node-1", 0), CpuSlotUuid("node-2", 0));
  EXPECT_EQ(CpuSlotUuid("node-1", 0).size(), std::string("CPU-01234567-0123-0123-0123-0123456789ab").size());
}

}  // namespace
}  // namespace lockstep::device_metrics_test
