#include "kernels/cuda/recurrent_cell.h"

#include "kernels/cuda/device_for_test.h"
#include "kernels/recurrent_cell_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_recurrent_cell_test {
namespace {

class CudaRecurrentCell : public CudaTest {};

constexpr int64_t kRows = 3, kSteps = 2;

TEST_F(CudaRecurrentCell, LstmDiffersFromFloat64OrFiniteDifference) {
  for (const int64_t n : {19, 20}) {
    for (const bool alone : {false, true}) {  // without a step before or after
      const RecurrentCell cell{n, 4 * n, 4 * n, kSteps * n};
      const std::vector<float> x = Random(kRows * 4 * n, -2, 2, 1), product = Random(kRows * 4 * n, -2, 2, 2),
                               bx = Random(4 * n, -1, 1, 3), bh = Random(4 * n, -1, 1, 4),
                               state = Random(kRows * kSteps * n, -2, 2, 5),
                               dy = Random(kRows * kSteps * n, -1, 1, 6), next = Random(kRows * n, -1, 1, 7),
                               after = Random(kRows * n, -1, 1, 8);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> gates(x), products(product), input(bx), hidden(bh), c(state), h(state), d(dy),
            from(next), dc(after);
        const float* const before = alone ? nullptr : c.get();
        EXPECT_LAUNCHED(cuda::LstmCellForward(cell, kRows, input.get(), hidden.get(),
                                              alone ? nullptr : products.get(), before, gates.get(),
                                              c.get() + n, h.get() + n, nullptr));
        EXPECT_LAUNCHED(cuda::LstmCellBackward(cell, kRows, before, c.get() + n, d.get() + n,
                                               alone ? nullptr : from.get(), dc.get(), gates.get(), nullptr));
        return Outputs{c.Fetch(), h.Fetch(), gates.Fetch(), dc.Fetch()};
      });
      for (int64_t i = 0; i < kRows * n; ++i) {
        const int64_t r = i / n, j = i % n, at = r * kSteps * n + j;
        double a[4];
        for (int g = 0; g < 4; ++g) {
          a[g] = double{x[r * 4 * n + g * n + j]} + bx[g * n + j] +
                 (alone ? 0.0 : product[r * 4 * n + g * n + j]) + bh[g * n + j];
        }
        const double c_before = alone ? 0.0 : state[at], dh = dy[at + n] + (alone ? 0.0 : next[i]);
        const auto loss = [&](const LstmState& unit) { return dh * unit.h + after[i] * unit.c; };
        const LstmState unit = LstmUnit(a, c_before);
        ASSERT_NEAR(out[0][at + n], unit.c, 2e-6);
        ASSERT_NEAR(out[1][at + n], unit.h, 2e-6);
        ASSERT_EQ(out[1][at], state[at]) << "of the step before";
        for (int g = 0; g < 4; ++g) {
          const auto moved_loss = [&](double value) {
            double moved[4] = {a[0], a[1], a[2], a[3]};
            moved[g] = value;
            return loss(LstmUnit(moved, c_before));
          };
          ASSERT_NEAR(out[2][r * 4 * n + g * n + j], Slope(moved_loss, a[g]), 3e-6) << "gate " << g;
        }
        ASSERT_NEAR(out[3][i], Slope([&](double value) { return loss(LstmUnit(a, value)); }, c_before), 3e-6);
      }
    }
  }
}

TEST_F(CudaRecurrentCell, GruDiffersFromFloat64OrFiniteDifference) {
  for (const int64_t n : {19, 20}) {
    for (const bool alone : {false, true}) {
      const RecurrentCell cell{n, 3 * n, 3 * n, kSteps * n};
      const std::vector<float> x = Random(kRows * 3 * n, -2, 2, 1), product = Random(kRows * 3 * n, -2, 2, 2),
                               bx = Random(3 * n, -1, 1, 3), bh = Random(3 * n, -1, 1, 4),
                               state = Random(kRows * kSteps * n, -1, 1, 5),
                               dy = Random(kRows * kSteps * n, -1, 1, 6), next = Random(kRows * n, -1, 1, 7),
                               after = Random(kRows * n, -1, 1, 8);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> gates(x), with_step(product), without(product.size()), input(bx), hidden(bh),
            h(state), d(dy), from(next), carry(after);
        const OnDevice<float>& recurrent = alone ? without : with_step;  // nothing to be read
        const float* const before = alone ? nullptr : h.get();
        EXPECT_LAUNCHED(cuda::GruCellForward(cell, kRows, input.get(), hidden.get(), before, gates.get(),
                                             recurrent.get(), h.get() + n, nullptr));
        const std::vector<float> states = h.Fetch();
        EXPECT_LAUNCHED(cuda::GruCellBackward(cell, kRows, before, d.get() + n, alone ? nullptr : from.get(),
                                              carry.get(), gates.get(), recurrent.get(), nullptr));
        return Outputs{states, gates.Fetch(), recurrent.Fetch(), carry.Fetch()};
      });
      for (int64_t i = 0; i < kRows * n; ++i) {
        const int64_t r = i / n, j = i % n, at = r * kSteps * n + j;
        double a[3], b[3];
        for (int g = 0; g < 3; ++g) {
          a[g] = double{x[r * 3 * n + g * n + j]} + bx[g * n + j];
          b[g] = (alone ? 0.0 : product[r * 3 * n + g * n + j]) + bh[g * n + j];
        }
        const double h_before = alone ? 0.0 : state[at];
        const double dh = double{dy[at + n]} + (alone ? 0.0 : next[i]) + after[i];
        ASSERT_NEAR(out[0][at + n], GruUnit(a, b, h_before), 2e-6);
        for (int g = 0; g < 6; ++g) {
          const auto moved_loss = [&](double value) {
            double moved[3] = {a[0], a[1], a[2]}, moved_b[3] = {b[0], b[1], b[2]};
            (g < 3 ? moved[g] : moved_b[g - 3]) = value;
            return dh * GruUnit(moved, moved_b, h_before);
          };
          ASSERT_NEAR(out[g < 3 ? 1 : 2][r * 3 * n + g % 3 * n + j],
                      Slope(moved_loss, g < 3 ? a[g] : b[g - 3]), 3e-6)
              << "gate " << g;
        }
        ASSERT_NEAR(out[3][i], Slope([&](double value) { return dh * GruUnit(a, b, value); }, h_before),
                    3e-6);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_recurrent_cell_test
