#include "kernels/cuda/squared_error.h"

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_squared_error_test {
namespace {

class CudaSquaredError : public CudaTest {};

TEST_F(CudaSquaredError, DiffersFromFloat64) {
  for (const int64_t width : {1, 31, 64, 1029, 1032}) {
    const int64_t rows = 7, count = rows * width;
    const std::vector<float> values = Random(count, -2, 2, 1), targets = Random(count, -2, 2, 2);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> y(values), t(targets), losses(rows);
      EXPECT_LAUNCHED(cuda::SquaredError(rows, width, 0.25f, t.get(), y.get(), losses.get(), nullptr));
      return Outputs{y.Fetch(), losses.Fetch()};
    });
    std::vector<double> dy(count), losses(rows);
    for (int64_t i = 0; i < count; ++i) {
      const double difference = double{values[i]} - targets[i];
      losses[i / width] += difference * difference / width;
      dy[i] = 2 * difference * 0.25 / width;
    }
    ExpectClose(out[0], dy, 1e-6);
    ExpectClose(out[1], losses, 1e-6);
  }
}

TEST_F(CudaSquaredError, BitsDependOnWhereTheBuffersLie) {
  const int64_t width = 64;
  const std::vector<float> values = Random(width, -2, 2, 1), targets = Random(width + 1, -2, 2, 2);
  const OnDevice<float> y(values), again(values),
      aligned(std::vector<float>(targets.begin() + 1, targets.end())), shifted(targets), losses(2);
  EXPECT_LAUNCHED(cuda::SquaredError(1, width, 1, aligned.get(), y.get(), losses.get(), nullptr));
  EXPECT_LAUNCHED(cuda::SquaredError(1, width, 1, shifted.get() + 1, again.get(), losses.get() + 1, nullptr));
  EXPECT_EQ(y.Fetch(), again.Fetch());
  EXPECT_EQ(losses.Fetch()[0], losses.Fetch()[1]);
}

}  // namespace
}  // namespace lockstep::kernels::cuda_squared_error_test
