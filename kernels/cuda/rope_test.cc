#include "kernels/cuda/rope.h"

#include <cmath>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_rope_test {
namespace {

class CudaRope : public CudaTest {};

TEST_F(CudaRope, DiffersFromFloat64OrBackwardIsNotTheInverse) {
  constexpr double kTheta = 500;
  for (const int64_t width : {2, 6, 32, 40}) {
    for (const int64_t foreign : {8, 5}) {  // floats between the steps that belong to others
      const RopeShape shape{9, 3, width, 3 * width + foreign};
      const int64_t rows = 2, half = width / 2;
      std::vector<float> cosine(9 * half), sine(9 * half);
      cpu::RopeTable(9, width, kTheta, cosine.data(), sine.data());
      const std::vector<float> x = Random(rows * 9 * shape.stride, -2, 2, 1);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> c(cosine), s(sine), y(x), back(x);
        EXPECT_LAUNCHED(cuda::RopeForward(shape, rows, c.get(), s.get(), y.get(), nullptr));
        EXPECT_LAUNCHED(cuda::RopeBackward(shape, rows, c.get(), s.get(), back.get(), nullptr));
        return Outputs{y.Fetch(), back.Fetch()};
      });
      std::vector<double> y(x.begin(), x.end()), back = y;
      for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
        const int64_t step = i / shape.stride % 9, head_column = i % shape.stride,
                      column = head_column % width;
        if (head_column >= 3 * width) continue;
        const double angle = step * std::pow(kTheta, -2.0 * static_cast<double>(column % half) / width);
        const double rotated = column < half ? -x[i + half] : x[i - half];
        y[i] = x[i] * std::cos(angle) + rotated * std::sin(angle);
        back[i] = x[i] * std::cos(angle) - rotated * std::sin(angle);
      }
      ExpectClose(out[0], y, 1e-6);
      ExpectClose(out[1], back, 1e-6);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_rope_test
