#include "kernels/cuda/hinge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_hinge_test {
namespace {

class CudaHinge : public CudaTest {};

Outputs Compute(int64_t rows, int64_t classes, const std::vector<int32_t>& labels,
                const std::vector<float>& scores) {
  const OnDevice<float> z(scores), losses(rows), correct(rows);
  const OnDevice<int32_t> on_device(labels);
  EXPECT_LAUNCHED(
      cuda::Hinge(rows, classes, 0.125f, on_device.get(), z.get(), losses.get(), correct.get(), nullptr));
  return {z.Fetch(), losses.Fetch(), correct.Fetch()};
}

TEST_F(CudaHinge, DiffersFromFloat64) {
  for (const int64_t classes : {1, 2, 33, 100, 1025, 1028}) {
    const int64_t rows = 5;
    const std::vector<float> scores = Random(rows * classes, -2, 2, classes);
    std::vector<int32_t> labels;
    for (int64_t r = 0; r < rows; ++r) labels.push_back(static_cast<int32_t>(r * 31 % classes));
    labels[3] = -1;
    const auto out = InAnyOrder([&] { return Compute(rows, classes, labels, scores); });
    std::vector<double> dz(rows * classes), losses(rows), correct(rows);
    for (int64_t r = 0; r < rows; ++r) {
      if (labels[r] < 0) continue;
      const float* z = &scores[r * classes];
      for (int64_t c = 0; c < classes; ++c) {
        const double margin = 1 + double{z[c]} - z[labels[r]];
        if (c == labels[r] || margin <= 0) continue;
        losses[r] += margin;
        dz[r * classes + c] = 0.125;
        dz[r * classes + labels[r]] -= 0.125;
      }
      correct[r] = std::max_element(z, z + classes) - z == labels[r];
    }
    ExpectClose(out[0], dz, 0);
    ExpectClose(out[1], losses, 1e-6);
    ExpectClose(out[2], correct, 0);
  }
}

TEST_F(CudaHinge, NanScoreLeavesTheLossFinite) {
  const int64_t classes = 37;
  const std::vector<float> scores = Random(2 * classes, -1, 1, 3);
  for (const int64_t at : {0, 1, 36}) {  // the label's own, too
    std::vector<float> bad = scores;
    bad[at] = std::numeric_limits<float>::quiet_NaN();
    const auto out = Compute(2, classes, {1, 1}, bad);
    EXPECT_TRUE(std::isnan(out[1][0])) << at;
    EXPECT_TRUE(std::isfinite(out[1][1]));
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_hinge_test
