#include "kernels/recurrent_cell.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/recurrent_cell_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::recurrent_cell_test {
namespace {

constexpr int64_t kRows = 3, kHidden = 19, kSteps = 2;
constexpr RecurrentCell kLstm{kHidden, 4 * kHidden, 4 * kHidden, kSteps* kHidden};
constexpr RecurrentCell kGru{kHidden, 3 * kHidden, 3 * kHidden, kSteps* kHidden};

TEST(RecurrentCell, LstmDiffersFromFloat64OrFiniteDifference) {
  for (const bool first : {false, true}) {
    const std::vector<float> x = Random(kRows * 4 * kHidden, -2, 2, 1), product = Random(x.size(), -2, 2, 2),
                             bx = Random(4 * kHidden, -1, 1, 3), bh = Random(4 * kHidden, -1, 1, 4);
    std::vector<float> c = Random(kRows * kSteps * kHidden, -2, 2, 5), h(c.size());
    const std::vector<float> dy = Random(c.size(), -1, 1, 6), next = Random(kRows * kHidden, -1, 1, 7),
                             dc_after = Random(kRows * kHidden, -1, 1, 8);
    std::vector<float> gates = x, dc = dc_after;
    const float* before = first ? nullptr : c.data();
    const float* recurrent = first ? nullptr : product.data();
    for (const auto& [begin, end] : {std::pair{0, 1}, std::pair{1, 3}}) {
      cpu::LstmCellForward(kLstm, begin, end, bx.data(), bh.data(), recurrent, before, gates.data(),
                           c.data() + kHidden, h.data() + kHidden);
      cpu::LstmCellBackward(kLstm, begin, end, before, c.data() + kHidden, dy.data() + kHidden, next.data(),
                            dc.data(), gates.data());
    }
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t j = 0; j < kHidden; ++j) {
        double a[4];
        for (int g = 0; g < 4; ++g) {
          const int64_t at = r * 4 * kHidden + g * kHidden + j;
          a[g] = double{x[at]} + bx[g * kHidden + j] + (first ? 0.0 : product[at]) + bh[g * kHidden + j];
        }
        const int64_t at = r * kSteps * kHidden + j;
        const double c_before = first ? 0.0 : c[at];
        const LstmState unit = LstmUnit(a, c_before);
        EXPECT_NEAR(c[at + kHidden], unit.c, 2e-6);
        EXPECT_NEAR(h[at + kHidden], unit.h, 2e-6);
        const double dh = double{dy[at + kHidden]} + next[r * kHidden + j];
        const auto loss = [&](const LstmState& out) {
          return dh * out.h + dc_after[r * kHidden + j] * out.c;
        };
        for (int g = 0; g < 4; ++g) {
          const double slope = Slope(
              [&](double value) {
                double moved[4] = {a[0], a[1], a[2], a[3]};
                moved[g] = value;
                return loss(LstmUnit(moved, c_before));
              },
              a[g]);
          EXPECT_NEAR(gates[r * 4 * kHidden + g * kHidden + j], slope, 3e-6) << "gate " << g;
        }
        EXPECT_NEAR(dc[r * kHidden + j],
                    Slope([&](double value) { return loss(LstmUnit(a, value)); }, c_before), 3e-6);
      }
    }
  }
}

TEST(RecurrentCell, GruDiffersFromFloat64OrFiniteDifference) {
  for (const bool first : {false, true}) {
    const std::vector<float> x = Random(kRows * 3 * kHidden, -2, 2, 11),
                             product = Random(x.size(), -2, 2, 12), bx = Random(3 * kHidden, -1, 1, 13),
                             bh = Random(3 * kHidden, -1, 1, 14);
    std::vector<float> h = Random(kRows * kSteps * kHidden, -1, 1, 15);
    const std::vector<float> dy = Random(h.size(), -1, 1, 16), next = Random(kRows * kHidden, -1, 1, 17),
                             carry_after = Random(kRows * kHidden, -1, 1, 18);
    std::vector<float> gates = x, recurrent = product, carry = carry_after;
    const float* before = first ? nullptr : h.data();
    for (const auto& [begin, end] : {std::pair{0, 1}, std::pair{1, 3}}) {
      cpu::GruCellForward(kGru, begin, end, bx.data(), bh.data(), before, gates.data(), recurrent.data(),
                          h.data() + kHidden);
      cpu::GruCellBackward(kGru, begin, end, before, dy.data() + kHidden, next.data(), carry.data(),
                           gates.data(), recurrent.data());
    }
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t j = 0; j < kHidden; ++j) {
        double a[3], b[3];
        for (int g = 0; g < 3; ++g) {
          const int64_t at = r * 3 * kHidden + g * kHidden + j;
          a[g] = double{x[at]} + bx[g * kHidden + j];
          b[g] = (first ? 0.0 : product[at]) + bh[g * kHidden + j];
        }
        const int64_t at = r * kSteps * kHidden + j;
        const double h_before = first ? 0.0 : h[at];
        EXPECT_NEAR(h[at + kHidden], GruUnit(a, b, h_before), 2e-6);
        const double dh = double{dy[at + kHidden]} + next[r * kHidden + j] + carry_after[r * kHidden + j];
        for (int g = 0; g < 6; ++g) {
          const double slope = Slope(
              [&](double value) {
                double moved[3] = {a[0], a[1], a[2]}, moved_b[3] = {b[0], b[1], b[2]};
                double& changed = g < 3 ? moved[g] : moved_b[g - 3];
                changed = value;
                return dh * GruUnit(moved, moved_b, h_before);
              },
              g < 3 ? a[g] : b[g - 3]);
          const std::vector<float>& gradient = g < 3 ? gates : recurrent;
          EXPECT_NEAR(gradient[r * 3 * kHidden + g % 3 * kHidden + j], slope, 3e-6) << "gate " << g;
        }
        EXPECT_NEAR(carry[r * kHidden + j],
                    Slope([&](double value) { return dh * GruUnit(a, b, value); }, h_before), 3e-6);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::recurrent_cell_test
