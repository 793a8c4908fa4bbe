#include "kernels/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/test_support.h"

namespace lockstep::kernels::swiglu_test {
namespace {

double Reference(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }

TEST(SwiGlu, DiffersFromFloat64OrFiniteDifference) {
  const int64_t count = 1003;
  const std::vector<float> gate = Random(count, -9, 9, 1), up = Random(count, -2, 2, 2),
                           dy = Random(count, -1, 1, 3);
  std::vector<float> y(count), dgate(count), dup(count);
  cpu::SwiGluForward(count, gate.data(), up.data(), y.data());
  cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), false, dgate.data(), dup.data());
  std::vector<float> added(count, 1.0f), added_up(count, 2.0f);
  cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), true, added.data(), added_up.data());
  for (int64_t i = 0; i < count; ++i) {
    const double h = 1e-5;
    EXPECT_NEAR(y[i], Reference(gate[i], up[i]), 4e-6);
    const double to_gate = (Reference(gate[i] + h, up[i]) - Reference(gate[i] - h, up[i])) / (2 * h);
    const double to_up = (Reference(gate[i], up[i] + h) - Reference(gate[i], up[i] - h)) / (2 * h);
    EXPECT_NEAR(dgate[i], dy[i] * to_gate, 4e-6);
    EXPECT_NEAR(dup[i], dy[i] * to_up, 4e-6);
    EXPECT_EQ(added[i], 1.0f + dgate[i]);
    EXPECT_EQ(added_up[i], 2.0f + dup[i]);
  }
}

TEST(SwiGlu, GradientThatNobodyWantsChangesTheOther) {
  const int64_t count = 37;
  const std::vector<float> gate = Random(count, -9, 9, 1), up = Random(count, -2, 2, 2),
                           dy = Random(count, -1, 1, 3);
  for (const bool add : {false, true}) {
    std::vector<float> dgate(count, 1.0f), dup(count, 1.0f), alone(count, 1.0f), up_alone(count, 1.0f);
    cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), add, dgate.data(), dup.data());
    cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), add, alone.data(), nullptr);
    cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), add, nullptr, up_alone.data());
    cpu::SwiGluBackward(count, gate.data(), up.data(), dy.data(), add, nullptr, nullptr);
    EXPECT_EQ(alone, dgate);
    EXPECT_EQ(up_alone, dup);
  }
}

TEST(SwiGlu, ExtremesOverflow) {
  const float gate[] = {-200.0f, 200.0f}, up[] = {3.0f, 3.0f}, dy[] = {1.0f, 1.0f};
  float y[2], dgate[2], dup[2];
  cpu::SwiGluForward(2, gate, up, y);
  cpu::SwiGluBackward(2, gate, up, dy, false, dgate, dup);
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 600.0f);
  EXPECT_EQ(dgate[0], 0.0f);
  EXPECT_EQ(dgate[1], 3.0f);
  EXPECT_EQ(dup[1], 200.0f);
}

}  // namespace
}  // namespace lockstep::kernels::swiglu_test
