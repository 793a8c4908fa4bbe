#include "coordinator/http/namespace_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "common/base/proto_time.h"
#include "common/metrics/scrape_for_test.h"

namespace lockstep::namespace_metrics_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Page(std::vector<v1::Namespace> spaces) {
  const auto source = [spaces = std::move(spaces)] { return spaces; };
  return prometheus::TextSerializer().Serialize(MakeNamespaceMetrics(source)->Collect());
}

v1::Namespace Space(const std::string& name, int64_t created) {
  v1::Namespace space;
  space.set_name(name);
  space.mutable_use()->set_jobs(2);
  *space.mutable_created() = ToProto(absl::FromUnixSeconds(created));
  return space;
}

TEST(NamespaceMetrics, UseIsThereAndQuotaWhereItIsSet) {
  v1::Namespace space = Space("team-a", 5);
  space.mutable_use()->set_devices(3);
  space.mutable_use()->set_queued_jobs(1);
  space.mutable_use()->set_storage_bytes(4096);
  space.mutable_quota()->set_devices(4);
  const std::string page = Page({Space("default", 0), space});
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_jobs{namespace=\"team-a\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_queued_jobs{namespace=\"team-a\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_devices{namespace=\"team-a\"} 3\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_storage_bytes{namespace=\"team-a\"} 4096\n"));
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_quota_devices{namespace=\"team-a\"} 4\n"));
  EXPECT_THAT(page, Not(HasSubstr("lockstep_namespace_quota_jobs{")));
  EXPECT_THAT(page, Not(HasSubstr("quota_devices{namespace=\"default\"}")));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

TEST(NamespaceMetrics, AThousandNamespacesAreTwoHundredSeriesAndOne) {
  std::vector<v1::Namespace> spaces;
  for (int i = 0; i < 1'000; ++i) spaces.push_back(Space(absl::StrCat("team-", i), 10'000 - i));
  const std::string page = Page(spaces);
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_jobs{namespace=\"team-999\"} 2\n")) << "the oldest";
  EXPECT_THAT(page, Not(HasSubstr("namespace=\"team-0\"")));
  EXPECT_THAT(page, HasSubstr("lockstep_namespace_jobs{namespace=\"(others)\"} 1600\n"));
}

}  // namespace
}  // namespace lockstep::namespace_metrics_test
