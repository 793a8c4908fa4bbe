#include "kernels/cuda/dropout.h"

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_dropout_test {
namespace {

class CudaDropout : public CudaTest {};

TEST_F(CudaDropout, MaskOrValuesDifferFromTheCpus) {
  for (const int64_t width : {1, 63, 131, 132, 256}) {
    const int64_t rows = 7, count = rows * width;
    const std::vector<float> x = Random(count, -1, 1, 1);
    std::vector<float> y(count), dx(count);
    std::vector<uint8_t> mask(count);
    const DropoutKey key{99, 2, 12345, 7};
    cpu::DropoutForward(key, 0.3, rows, width, x.data(), y.data(), mask.data());
    cpu::DropoutBackward(0.3, count, mask.data(), x.data(), dx.data());
    const auto out = InAnyOrder([&] {
      const OnDevice<float> from(x), to(count), back(count);
      const OnDevice<uint8_t> kept(count);
      const OnDevice<int64_t> step(std::vector<int64_t>{key.step});
      const DropoutKey other{key.seed, key.layer, -1, key.first_row};
      EXPECT_LAUNCHED(cuda::DropoutForward(other, step.get(), 0.3, rows, width, from.get(), to.get(),
                                           kept.get(), nullptr));
      EXPECT_LAUNCHED(cuda::DropoutBackward(0.3, count, kept.get(), from.get(), back.get(), nullptr));
      EXPECT_EQ(kept.Fetch(), mask);
      return Outputs{to.Fetch(), back.Fetch()};
    });
    EXPECT_EQ(out[0], y);
    EXPECT_EQ(out[1], dx);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_dropout_test
