#include "kernels/muon.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

TEST(MuonMomentum, DiffersFromFloat64) {
  for (const int count : {1, 1003}) {
    std::vector<float> buffer(count);
    std::vector<double> b(count);
    for (int t = 0; t < 5; ++t) {
      std::vector<float> g = Random(count, -1, 1, 10 + t);
      const std::vector<float> before = g;
      cpu::MuonMomentum(0.95f, {0.5f, 0.2f}, count, g.data(), buffer.data());
      for (int i = 0; i < count; ++i) {
        const double gi = std::clamp(0.5 * before[i], -double{0.2f}, double{0.2f});
        b[i] += 0.05 * (gi - b[i]);
        EXPECT_NEAR(buffer[i], b[i], 1e-6);
        EXPECT_NEAR(g[i], gi + 0.95 * (b[i] - gi), 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
