#include "kernels/cuda/cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_cross_entropy_test {
namespace {

class CudaCrossEntropy : public CudaTest {};

Outputs Compute(int64_t rows, int64_t classes, float scale, float smoothing,
                const std::vector<int32_t>& labels, const std::vector<float>& logits) {
  const OnDevice<float> z(logits), losses(rows), correct(rows);
  const OnDevice<int32_t> on_device(labels);
  EXPECT_LAUNCHED(cuda::SoftmaxCrossEntropy(rows, classes, scale, on_device.get(), z.get(), losses.get(),
                                            correct.get(), smoothing, nullptr));
  return {z.Fetch(), losses.Fetch(), correct.Fetch()};
}

TEST_F(CudaCrossEntropy, DiffersFromFloat64) {
  for (const int64_t classes : {1, 2, 31, 33, 64, 1000, 1027, 2056}) {
    for (const float smoothing : {0.0f, 0.1f}) {
      const int64_t rows = 5;
      std::vector<float> logits = Random(rows * classes, -9, 9, classes);
      if (classes > 2) logits[2 * classes + 1] = -std::numeric_limits<float>::infinity();
      std::vector<int32_t> labels;
      for (int64_t r = 0; r < rows; ++r) labels.push_back(static_cast<int32_t>(r * 31 % classes));
      labels[3] = -1;
      if (smoothing > 0) logits[2 * classes + 1 % classes] = 0;  // else its distance is infinite
      const auto out = InAnyOrder([&] { return Compute(rows, classes, 0.25f, smoothing, labels, logits); });
      std::vector<double> dz(rows * classes), losses(rows), correct(rows);
      for (int64_t r = 0; r < rows; ++r) {
        if (labels[r] < 0) continue;
        const float* z = &logits[r * classes];
        double sum = 0, total = 0, largest = z[0];
        int64_t best = 0;
        for (int64_t c = 0; c < classes; ++c) {
          if (z[c] > z[best]) best = c;
          largest = std::max<double>(largest, z[c]);
        }
        for (int64_t c = 0; c < classes; ++c) {
          sum += std::exp(z[c] - largest);
          if (smoothing > 0) total += z[c] - largest;
        }
        losses[r] = std::log(sum) - (1 - smoothing) * (z[labels[r]] - largest) - smoothing / classes * total;
        correct[r] = best == labels[r];
        for (int64_t c = 0; c < classes; ++c) {
          const double target = (c == labels[r] ? 1 - smoothing : 0.0) + smoothing / classes;
          dz[r * classes + c] = (std::exp(z[c] - largest) / sum - target) * 0.25;
        }
      }
      ExpectClose(out[0], dz, 1e-6);
      ExpectClose(out[1], losses, 1e-5);
      ExpectClose(out[2], correct, 0);
    }
  }
}

TEST_F(CudaCrossEntropy, NotTheFirstOfEqualLogitsIsTheGuess) {
  for (const int64_t classes : {40, 1028}) {
    std::vector<float> logits(2 * classes, -1.0f);
    for (const int64_t at : {7, 35, 38}) logits[at] = logits[classes + at] = 3.0f;
    EXPECT_EQ(Compute(2, classes, 1, 0, {7, 35}, logits)[2], (std::vector<float>{1, 0}));
  }
}

TEST_F(CudaCrossEntropy, NanLogitLeavesItsRowFiniteOrSpoilsAnother) {
  const int64_t classes = 37;
  std::vector<float> logits = Random(2 * classes, -1, 1, 3);
  for (const int64_t at : {0, 5, 36}) {
    std::vector<float> bad = logits;
    bad[at] = std::numeric_limits<float>::quiet_NaN();
    const auto out = Compute(2, classes, 1, 0, {1, 1}, bad);
    EXPECT_TRUE(std::isnan(out[1][0]));
    EXPECT_TRUE(std::isfinite(out[1][1]));
    for (int64_t c = 0; c < classes; ++c) {
      EXPECT_TRUE(std::isnan(out[0][c]));
      EXPECT_TRUE(std::isfinite(out[0][classes + c]));
    }
  }
}

TEST_F(CudaCrossEntropy, RowDependsOnItsNeighbours) {
  for (const int64_t classes : {100, 1500}) {
    const std::vector<float> logits = Random(20 * classes, -9, 9, 1);
    const auto all = Compute(20, classes, 1, 0, std::vector<int32_t>(20, 3), logits);
    const auto one =
        Compute(1, classes, 1, 0, {3}, {logits.begin() + 13 * classes, logits.begin() + 14 * classes});
    EXPECT_EQ(one[0], std::vector<float>(all[0].begin() + 13 * classes, all[0].begin() + 14 * classes));
    EXPECT_EQ(one[1][0], all[1][13]);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_cross_entropy_test
