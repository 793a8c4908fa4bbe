#include "kernels/cuda/swiglu.h"

#include <cmath>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_swiglu_test {
namespace {

class CudaSwiGlu : public CudaTest {};

double Value(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }

TEST_F(CudaSwiGlu, DiffersFromFloat64) {
  for (const int64_t count : {1, 64, 1003}) {
    const std::vector<float> gate = Random(count, -9, 9, 1), up = Random(count, -2, 2, 2),
                             dy = Random(count, -1, 1, 3);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> g(gate), u(up), d(dy), y(count), dgate(count), dup(count), alone(count),
          added(std::vector<float>(count, 2.0f));
      EXPECT_LAUNCHED(cuda::SwiGluForward(count, g.get(), u.get(), y.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::SwiGluBackward(count, g.get(), u.get(), d.get(), false, dgate.get(), dup.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::SwiGluBackward(count, g.get(), u.get(), d.get(), false, alone.get(), nullptr, nullptr));
      EXPECT_LAUNCHED(
          cuda::SwiGluBackward(count, g.get(), u.get(), d.get(), true, nullptr, added.get(), nullptr));
      return Outputs{y.Fetch(), dgate.Fetch(), dup.Fetch(), alone.Fetch(), added.Fetch()};
    });
    std::vector<double> y(count), dgate(count), dup(count), added(count);
    for (int64_t i = 0; i < count; ++i) {
      y[i] = Value(gate[i], up[i]);
      dgate[i] = dy[i] * (Value(gate[i] + 1e-6, up[i]) - Value(gate[i] - 1e-6, up[i])) / 2e-6;
      dup[i] = dy[i] * Value(gate[i], 1);
      added[i] = 2 + dup[i];
    }
    ExpectClose(out[0], y, 1e-6);
    ExpectClose(out[1], dgate, 2e-6);
    ExpectClose(out[2], dup, 1e-6);
    EXPECT_EQ(out[3], out[1]);
    ExpectClose(out[4], added, 1e-6);
  }
}

TEST_F(CudaSwiGlu, ExtremesOverflow) {
  const OnDevice<float> gate(std::vector<float>{-200, 200}), up(std::vector<float>{3, 3}),
      dy(std::vector<float>{1, 1}), y(2), dgate(2), dup(2);
  EXPECT_LAUNCHED(cuda::SwiGluForward(2, gate.get(), up.get(), y.get(), nullptr));
  EXPECT_LAUNCHED(
      cuda::SwiGluBackward(2, gate.get(), up.get(), dy.get(), false, dgate.get(), dup.get(), nullptr));
  ExpectClose(y.Fetch(), std::vector<double>{0, 600}, 0);
  ExpectClose(dgate.Fetch(), std::vector<double>{0, 3}, 0);
  ExpectClose(dup.Fetch(), std::vector<double>{0, 200}, 0);
}

}  // namespace
}  // namespace lockstep::kernels::cuda_swiglu_test
