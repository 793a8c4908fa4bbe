#include "worker/engine/memory_plan.h"

#include <gtest/gtest.h>

#include "common/numerics/philox.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {
namespace {

TEST(MemoryPlan, LivingBuffersOverlap) {
  for (uint64_t round = 0; round < 200; ++round) {
    struct Wanted {
      int64_t floats;
      int first, last;
    };
    std::vector<Wanted> wanted;
    MemoryPlan plan;
    for (uint64_t i = 0; i < 20; ++i) {
      const PhiloxBlock random = Philox(1, round, i);
      const int first = static_cast<int>(random.value[1] % 30);
      wanted.push_back({random.value[0] % 200, first, first + static_cast<int>(random.value[2] % 10)});
      plan.Add(wanted[i].floats, first, wanted[i].last);
    }
    plan.Lay();
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(plan.offset(i) % 16, 0);
      EXPECT_LE(plan.offset(i) + wanted[i].floats, plan.total());
      for (int j = 0; j < i; ++j) {
        const bool together = wanted[i].first <= wanted[j].last && wanted[j].first <= wanted[i].last;
        const bool overlap = plan.offset(i) < plan.offset(j) + wanted[j].floats &&
                             plan.offset(j) < plan.offset(i) + wanted[i].floats;
        EXPECT_FALSE(together && overlap) << i << " and " << j << " in round " << round;
      }
    }
  }
}

TEST(MemoryPlan, DeadBuffersDoNotShare) {
  MemoryPlan plan;
  for (int i = 0; i < 10; ++i) plan.Add(100, i, i);
  plan.Lay();
  EXPECT_EQ(plan.total(), 112);
}

TEST(CurrentProfile, FieldIsEmpty) {
  const v1::NumericProfile profile = CurrentProfile();
  EXPECT_EQ(profile.device_kind(), "cpu");
  EXPECT_FALSE(profile.device_model().empty());
  EXPECT_FALSE(profile.instruction_set().empty());
  EXPECT_EQ(profile.math_library().rfind("oneDNN ", 0), 0u);
  EXPECT_EQ(profile.arithmetic_revision(), 4);
  EXPECT_EQ(profile.threads(), 1);
}

TEST(PrepareComputeThread, DenormalsAreKept) {
  PrepareComputeThread();
  volatile float small = 1e-38f;
  volatile float product = small * 1e-3f;
  EXPECT_EQ(product, 0.0f);
}

}  // namespace
}  // namespace lockstep::engine
