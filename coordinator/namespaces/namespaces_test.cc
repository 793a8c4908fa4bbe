#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/namespaces/names.h"
#include "coordinator/namespaces/quota.h"
#include "coordinator/namespaces/scope.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(NamespaceNamesTest, OnlyDnsLabelsAreNames) {
  for (const char* good : {"a", "team-a", "0", "default", "a--b"})
    EXPECT_TRUE(CheckNamespaceName(good).ok()) << good;
  EXPECT_TRUE(CheckNamespaceName(std::string(63, 'a')).ok());
  for (const std::string& bad : {std::string(), std::string("-a"), std::string("a-"), std::string("A"),
                                 std::string("a/b"), std::string("a.b"), std::string("a_b"),
                                 std::string("\xc3\xa4"), std::string(64, 'a'), std::string("a\0b", 3)}) {
    const absl::Status status = CheckNamespaceName(bad);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(Message(status), AllOf(HasSubstr("such as team-a"), HasSubstr("got")));
  }
}

TEST(NamespaceNamesTest, ANameSaysItsNamespaceUnlessItIsTheOneMeant) {
  EXPECT_EQ(SplitName("digits", "team-a").space, "team-a");
  EXPECT_EQ(SplitName("team-b/digits", "team-a").space, "team-b");
  EXPECT_EQ(SplitName("team-b/digits", "team-a").name, "digits");
  EXPECT_EQ(SplitName("a/b/c", "x").name, "b/c") << "which no job is called";
  EXPECT_EQ(JoinName("default", "digits"), "digits");
  EXPECT_EQ(JoinName("", "digits"), "digits");
  EXPECT_EQ(JoinName("team-a", "digits"), "team-a/digits");
}

TEST(ScopeTest, ABoundCallerCannotChooseAnotherNamespace) {
  const Scope bound{"team-a"}, all;
  EXPECT_EQ(*bound.Choose(""), "team-a");
  EXPECT_EQ(*bound.Choose("team-a"), "team-a");
  EXPECT_TRUE(absl::IsPermissionDenied(bound.Choose("team-b").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(bound.Choose("default").status()));
  EXPECT_EQ(*all.Choose(""), "default");
  EXPECT_EQ(*all.Choose("team-b"), "team-b");
  EXPECT_FALSE(bound.Sees("default"));
  EXPECT_TRUE(all.Sees("team-b"));
}

v1::Namespace Space() {
  v1::Namespace space;
  space.set_name("team-a");
  return space;
}

TEST(QuotaTest, WithoutAQuotaEverythingIsLetIn) {
  v1::NamespaceUse use;
  use.set_jobs(1'000'000);
  use.set_storage_bytes(int64_t{1} << 60);
  EXPECT_TRUE(AdmitJob(Space(), use, 1'000).ok());
}

TEST(QuotaTest, OneJobTooManyIsRefusedWithLimitUseAndExcess) {
  v1::Namespace space = Space();
  space.mutable_quota()->set_jobs(2);
  v1::NamespaceUse use;
  use.set_jobs(1);
  EXPECT_TRUE(AdmitJob(space, use, 1).ok());
  use.set_jobs(2);
  const absl::Status status = AdmitJob(space, use, 1);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(Message(status), AllOf(HasSubstr("namespace team-a"), HasSubstr("unfinished jobs is 2"),
                                     HasSubstr("2 are there"), HasSubstr("1 too many"), HasSubstr("--jobs")));
  use.set_jobs(5);  // the quota was lowered
  EXPECT_THAT(Message(AdmitJob(space, use, 1)), HasSubstr("4 too many"));
}

TEST(QuotaTest, AJobThatCouldNeverRunIsRefused) {
  v1::Namespace space = Space();
  space.mutable_quota()->set_devices(2);
  v1::NamespaceUse use;
  use.set_devices(2);
  EXPECT_TRUE(AdmitJob(space, use, 2).ok()) << "it waits in the queue";
  EXPECT_THAT(Message(AdmitJob(space, use, 5)), AllOf(HasSubstr("devices in use at once is 2"),
                                                      HasSubstr("at least 5"), HasSubstr("3 too many")));
}

TEST(QuotaTest, NothingNewBeginsWhenTheStorageIsUsedUp) {
  v1::Namespace space = Space();
  space.mutable_quota()->set_storage_bytes(1000);
  v1::NamespaceUse use;
  use.set_storage_bytes(999);
  EXPECT_TRUE(AdmitJob(space, use, 1).ok());
  use.set_storage_bytes(1500);
  EXPECT_THAT(Message(AdmitJob(space, use, 1)), AllOf(HasSubstr("storage is 1000 bytes"),
                                                      HasSubstr("take 1500"), HasSubstr("500 bytes beyond")));
}

TEST(QuotaTest, AChangeLeavesWhatItDoesNotName) {
  v1::Quota quota;
  quota.set_devices(2);
  quota.set_jobs(3);
  v1::SetNamespaceRequest request;
  request.mutable_quota()->set_jobs(0);
  request.mutable_quota()->set_storage_bytes(7);
  request.add_unlimited(v1::QUOTA_KIND_DEVICES);
  const v1::Quota changed = *ChangeQuota(quota, request);
  EXPECT_FALSE(changed.has_devices());
  EXPECT_TRUE(changed.has_jobs());
  EXPECT_EQ(changed.jobs(), 0);
  EXPECT_EQ(changed.storage_bytes(), 7);
  request.mutable_quota()->set_devices(-1);
  request.clear_unlimited();
  EXPECT_TRUE(absl::IsInvalidArgument(ChangeQuota(quota, request).status()));
  request.mutable_quota()->clear_devices();
  request.add_unlimited(v1::QUOTA_KIND_UNSPECIFIED);
  EXPECT_TRUE(absl::IsInvalidArgument(ChangeQuota(quota, request).status()));
}

}  // namespace
}  // namespace lockstep
