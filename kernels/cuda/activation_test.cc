#include "kernels/cuda/activation.h"

#include <cmath>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_activation_test {
namespace {

double Value(Activation f, double z) {
  switch (f) {
    case Activation::kIdentity:
      return z;
    case Activation::kRelu:
      return z < 0 ? 0 : z;
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::kGelu:
      return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
    case Activation::kSilu:
      return z / (1 + std::exp(-z));
  }
  return 0;
}

class CudaActivation : public CudaTest {};

TEST_F(CudaActivation, DiffersFromFloat64) {
  for (const int64_t width : {1, 7, 64, 129}) {
    const int64_t rows = 5, count = rows * width;
    const std::vector<float> x = Random(count, -6, 6, 1), bias = Random(width, -1, 1, 2),
                             dy = Random(count, -1, 1, 3);
    for (int f = 0; f <= static_cast<int>(Activation::kSilu); ++f) {
      const auto activation = static_cast<Activation>(f);
      for (const bool biased : {true, false}) {
        const auto out = InAnyOrder([&] {
          const OnDevice<float> z(x), b(bias), y(count), d(dy), dx(count);
          EXPECT_LAUNCHED(cuda::BiasActivationForward(activation, rows, width, biased ? b.get() : nullptr,
                                                      z.get(), y.get(), nullptr));
          EXPECT_LAUNCHED(cuda::ActivationBackward(
              activation, count, SavesInput(activation) ? z.get() : y.get(), d.get(), dx.get(), nullptr));
          return Outputs{z.Fetch(), y.Fetch(), dx.Fetch()};
        });
        std::vector<double> z(count), y(count), dx(count);
        for (int64_t i = 0; i < count; ++i) {
          z[i] = double{x[i]} + (biased ? bias[i % width] : 0.0f);
          y[i] = Value(activation, z[i]);
          dx[i] = dy[i] * (Value(activation, z[i] + 1e-6) - Value(activation, z[i] - 1e-6)) / 2e-6;
        }
        ExpectClose(out[0], z, 1e-6);
        ExpectClose(out[1], y, 3e-6);
        ExpectClose(out[2], dx, 1e-5);
      }
    }
  }
}

TEST_F(CudaActivation, InPlaceGivesAnotherResult) {
  const int64_t rows = 3, width = 36, count = rows * width;
  const std::vector<float> x = Random(count, -3, 3, 1), bias = Random(width, -1, 1, 2),
                           dy = Random(count, -1, 1, 3);
  const OnDevice<float> apart(x), y(count), together(x), b(bias), d(dy), dx(count);
  EXPECT_LAUNCHED(
      cuda::BiasActivationForward(Activation::kTanh, rows, width, b.get(), apart.get(), y.get(), nullptr));
  EXPECT_LAUNCHED(cuda::BiasActivationForward(Activation::kTanh, rows, width, b.get(), together.get(),
                                              together.get(), nullptr));
  EXPECT_EQ(y.Fetch(), together.Fetch());
  EXPECT_LAUNCHED(cuda::ActivationBackward(Activation::kTanh, count, y.get(), d.get(), dx.get(), nullptr));
  EXPECT_LAUNCHED(cuda::ActivationBackward(Activation::kTanh, count, y.get(), d.get(), d.get(), nullptr));
  EXPECT_EQ(dx.Fetch(), d.Fetch());
}

}  // namespace
}  // namespace lockstep::kernels::cuda_activation_test
