#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::attention_test {
namespace {

using Case = AttentionCase;

struct Result {
  std::vector<float> y, log_sums, dfused;
};

// In pieces of `step` items, as threads would take them.
Result Compute(const Case& at, const std::vector<float>& fused, const std::vector<float>& dy, int64_t step) {
  Result out{std::vector<float>(at.y_size(), 7.0f),
             std::vector<float>(at.rows * at.shape.heads * at.shape.steps),
             std::vector<float>(fused.size(), 7.0f)};
  // NaN wherever scratch is read before it is written.
  std::vector<float> scratch(AttentionScratch(at.shape), std::numeric_limits<float>::quiet_NaN());
  const float *q = fused.data(), *k = q + at.q_width(), *v = k + at.k_width();
  for (int64_t i = 0; i < at.items(); i += step) {
    const int64_t end = std::min(i + step, at.items());
    cpu::AttentionForward(at.shape, i, end, q, k, v, out.y.data(), out.log_sums.data(), scratch.data());
  }
  float *dq = out.dfused.data(), *dk = dq + at.q_width(), *dv = dk + at.k_width();
  for (int64_t i = 0; i < at.items(); i += step) {
    const int64_t end = std::min(i + step, at.items());
    cpu::AttentionBackward(at.shape, i, end, q, k, v, out.y.data(), out.log_sums.data(), dy.data(), dq, dk,
                           dv, scratch.data());
  }
  return out;
}

std::vector<Case> Cases() {
  return {Case(1, 1, 1, 1, true),    Case(3, 2, 1, 5, true),   Case(17, 3, 3, 16, true),
          Case(64, 2, 2, 32, true),  Case(37, 4, 2, 20, true), Case(150, 1, 1, 33, true),
          Case(300, 2, 1, 8, false), Case(19, 2, 2, 72, false)};
}

TEST(Attention, DiffersFromFloat64) {
  for (const Case& at : Cases()) {
    const std::vector<float> fused = Random(at.fused_size(), -2, 2, 1), dy = Random(at.y_size(), -1, 1, 2);
    const Result result = Compute(at, fused, dy, at.items());
    const AttentionReference expected = Attend(at, {fused.begin(), fused.end()}, {dy.begin(), dy.end()});
    for (size_t i = 0; i < expected.y.size(); ++i) ASSERT_NEAR(result.y[i], expected.y[i], 3e-6) << i;
    for (size_t i = 0; i < expected.log_sums.size(); ++i) {
      ASSERT_NEAR(result.log_sums[i], expected.log_sums[i], 5e-6);
    }
    for (size_t i = 0; i < expected.dfused.size(); ++i) {
      ASSERT_NEAR(result.dfused[i], expected.dfused[i], 2e-5)
          << "steps " << at.shape.steps << " width " << at.shape.head_width << " at " << i;
    }
  }
}

TEST(Attention, ReferenceDiffersFromFiniteDifference) {
  for (const bool causal : {true, false}) {
    const Case at(4, 2, 1, 3, causal);
    const std::vector<float> start = Random(at.fused_size(), -1, 1, 3), dy = Random(at.y_size(), -1, 1, 4);
    const Doubles fused(start.begin(), start.end()), slope(dy.begin(), dy.end());
    const auto loss = [&](const Doubles& x) {
      const Doubles y = Attend(at, x, {}).y;
      double sum = 0;
      for (size_t i = 0; i < y.size(); ++i) sum += slope[i] * y[i];
      return sum;
    };
    const AttentionReference reference = Attend(at, fused, slope);
    for (size_t i = 0; i < fused.size(); ++i) {
      Doubles high = fused, low = fused;
      high[i] += 1e-5;
      low[i] -= 1e-5;
      EXPECT_NEAR(reference.dfused[i], (loss(high) - loss(low)) / 2e-5, 1e-8);
    }
  }
}

TEST(Attention, BitsDependOnWhoComputesWhichItems) {
  for (const Case& at : Cases()) {
    const std::vector<float> fused = Random(at.fused_size(), -2, 2, 5), dy = Random(at.y_size(), -1, 1, 6);
    const Result whole = Compute(at, fused, dy, at.items()), one_by_one = Compute(at, fused, dy, 1);
    EXPECT_EQ(whole.y, one_by_one.y);
    EXPECT_EQ(whole.dfused, one_by_one.dfused);
  }
}

TEST(Attention, SeparateBuffersGiveOtherBitsThanAFusedOne) {
  const Case fused(21, 4, 2, 12, true);
  Case apart = fused;
  apart.shape.q_stride = fused.q_width();
  apart.shape.k_stride = apart.shape.v_stride = fused.k_width();
  const std::vector<float> all = Random(fused.fused_size(), -2, 2, 7), dy = Random(fused.y_size(), -1, 1, 8);
  const int64_t steps = fused.rows * fused.shape.steps, q_width = fused.q_width(), k_width = fused.k_width();
  std::vector<float> q(steps * q_width), k(steps * k_width), v(k);
  for (int64_t t = 0; t < steps; ++t) {
    const float* from = &all[t * fused.shape.q_stride];
    std::copy_n(from, q_width, &q[t * q_width]);
    std::copy_n(from + q_width, k_width, &k[t * k_width]);
    std::copy_n(from + q_width + k_width, k_width, &v[t * k_width]);
  }
  const Result expected = Compute(fused, all, dy, 1);
  std::vector<float> y(expected.y.size()), sums(expected.log_sums.size()), dq(q), dk(k), dv(v),
      scratch(AttentionScratch(apart.shape));
  cpu::AttentionForward(apart.shape, 0, apart.items(), q.data(), k.data(), v.data(), y.data(), sums.data(),
                        scratch.data());
  cpu::AttentionBackward(apart.shape, 0, apart.items(), q.data(), k.data(), v.data(), y.data(), sums.data(),
                         dy.data(), dq.data(), dk.data(), dv.data(), scratch.data());
  EXPECT_EQ(y, expected.y);
  for (int64_t t = 0; t < steps; ++t) {
    const float* gradient = &expected.dfused[t * fused.shape.q_stride];
    for (int64_t c = 0; c < q_width; ++c) ASSERT_EQ(dq[t * q_width + c], gradient[c]);
    for (int64_t c = 0; c < k_width; ++c) {
      ASSERT_EQ(dk[t * k_width + c], gradient[q_width + c]);
      ASSERT_EQ(dv[t * k_width + c], gradient[q_width + k_width + c]);
    }
  }
}

TEST(Attention, GradientThatNobodyWantsChangesTheOthers) {
  const Case at(21, 4, 2, 12, true);
  const std::vector<float> all = Random(at.fused_size(), -2, 2, 7), dy = Random(at.y_size(), -1, 1, 8);
  const Result expected = Compute(at, all, dy, 1);
  const float *q = all.data(), *k = q + at.q_width(), *v = k + at.k_width();
  for (int unwanted = 0; unwanted < 3; ++unwanted) {
    std::vector<float> gradients(all.size(), 5.0f), scratch(AttentionScratch(at.shape));
    float* parts[3] = {gradients.data(), gradients.data() + at.q_width(),
                       gradients.data() + at.q_width() + at.k_width()};
    parts[unwanted] = nullptr;
    cpu::AttentionBackward(at.shape, 0, at.items(), q, k, v, expected.y.data(), expected.log_sums.data(),
                           dy.data(), parts[0], parts[1], parts[2], scratch.data());
    for (size_t i = 0; i < gradients.size(); ++i) {
      const int64_t column = static_cast<int64_t>(i) % at.shape.q_stride;
      const int part = column < at.q_width() ? 0 : column < at.q_width() + at.k_width() ? 1 : 2;
      ASSERT_EQ(gradients[i], part == unwanted ? 5.0f : expected.dfused[i])
          << part << " without " << unwanted;
    }
  }
}

TEST(Attention, HugeScoresOverflow) {
  Case at(40, 1, 1, 4, true);
  std::vector<float> fused = Random(at.fused_size(), -2, 2, 9), dy = Random(at.y_size(), -1, 1, 10);
  for (int64_t t = 0; t < at.rows * at.shape.steps; ++t) {
    for (int c = 0; c < 8; ++c) fused[t * at.shape.q_stride + c] *= 100.0f;
  }
  const Result result = Compute(at, fused, dy, 1);
  for (const std::vector<float>* values : {&result.y, &result.log_sums, &result.dfused}) {
    for (const float value : *values) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace lockstep::kernels::attention_test
