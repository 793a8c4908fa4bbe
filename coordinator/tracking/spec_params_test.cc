#include "coordinator/tracking/spec_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::spec_params_test {
namespace {

using ::testing::Contains;
using ::testing::Pair;

TEST(SpecParams, NestedFieldsHaveDottedNames) {
  v1::JobSpec spec;
  spec.set_name("digits");
  spec.mutable_train()->set_batch_size(64);
  spec.mutable_train()->mutable_optimizer()->mutable_adamw()->set_learning_rate(1e-3);
  const auto params = SpecParams(spec);
  EXPECT_THAT(params, Contains(Pair("name", "digits")));
  EXPECT_THAT(params, Contains(Pair("train.batch_size", "64")));
  EXPECT_THAT(params, Contains(Pair("train.optimizer.adamw.learning_rate", "0.001")));
}

TEST(SpecParams, LongValuesAreCutToWhatMlflowTakes) {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path(std::string(2000, 'x'));
  for (const auto& [key, value] : SpecParams(spec)) EXPECT_LE(value.size(), 500u) << key;
}

}  // namespace
}  // namespace lockstep::spec_params_test
