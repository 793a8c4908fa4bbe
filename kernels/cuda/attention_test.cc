#include "kernels/cuda/attention.h"

#include <cmath>

#include "kernels/attention_for_test.h"
#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_attention_test {
namespace {

class CudaAttention : public CudaTest {};
class CudaAttentionOf : public CudaAttention, public testing::WithParamInterface<GemmType> {};
INSTANTIATE_TEST_SUITE_P(Types, CudaAttentionOf, testing::Values(GemmType::kFp32, GemmType::kBf16),
                         [](const auto& of) { return of.param == GemmType::kBf16 ? "bf16" : "fp32"; });

// y, log_sums, dfused. Which of dq, dk, dv nobody wants: `unwanted`.
Outputs Compute(GemmType type, const AttentionCase& at, const std::vector<float>& fused,
                const std::vector<float>& dy, int unwanted = -1) {
  const int64_t sums = at.rows * at.shape.heads * at.shape.steps;
  const OnDevice<float> all(fused), d(dy), y(at.y_size()), log_sums(sums), offsets(sums),
      gradients(std::vector<float>(fused.size(), 5.0f));
  const int64_t first[] = {0, at.q_width(), at.q_width() + at.k_width()};
  const float *q = all.get(), *k = q + first[1], *v = q + first[2];
  float* to[3];
  for (int i = 0; i < 3; ++i) to[i] = i == unwanted ? nullptr : gradients.get() + first[i];
  EXPECT_LAUNCHED(cuda::AttentionForward(type, at.shape, at.rows, q, k, v, y.get(), log_sums.get(), nullptr));
  EXPECT_LAUNCHED(cuda::AttentionBackward(type, at.shape, at.rows, q, k, v, y.get(), log_sums.get(), d.get(),
                                          to[0], to[1], to[2], offsets.get(), nullptr));
  return {y.Fetch(), log_sums.Fetch(), gradients.Fetch()};
}

TEST_P(CudaAttentionOf, DiffersFromFloat64) {
  using Case = AttentionCase;
  for (const Case& at : {Case(1, 1, 1, 1, true), Case(3, 2, 1, 5, true), Case(17, 3, 3, 16, true),
                         Case(64, 2, 2, 32, true), Case(70, 2, 1, 64, true), Case(130, 1, 1, 20, true),
                         Case(65, 2, 1, 8, false), Case(9, 2, 2, 72, false), Case(66, 1, 1, 128, true),
                         Case(150, 2, 1, 24, true), Case(140, 1, 1, 40, false)}) {
    std::vector<float> fused = Random(at.fused_size(), -2, 2, 1), dy = Random(at.y_size(), -1, 1, 2);
    const bool bf16 = GetParam() == GemmType::kBf16;
    if (bf16) {  // what is left is the rounding of p and ds
      for (float& value : fused) value = RoundedToBf16(value);
      for (float& value : dy) value = RoundedToBf16(value);
    }
    const auto run = [&] { return Compute(GetParam(), at, fused, dy); };
    const Outputs out = at.shape.steps == 17 ? InAnyOrder(run) : run();
    const AttentionReference expected = Attend(at, {fused.begin(), fused.end()}, {dy.begin(), dy.end()});
    ExpectClose(out[0], expected.y, bf16 ? 5e-3 : 1e-5);
    ExpectClose(out[1], expected.log_sums, 1e-5);
    ExpectClose(out[2], expected.dfused, bf16 ? 5e-3 : 1e-5);
  }
}

TEST_P(CudaAttentionOf, BitsDependOnTheOrderOfThreadsOrOnOtherSamples) {
  AttentionCase at(70, 2, 1, 36, true);
  const std::vector<float> fused = Random(at.fused_size(), -2, 2, 5), dy = Random(at.y_size(), -1, 1, 6);
  ReorderThreads(1);
  const Outputs both = Compute(GetParam(), at, fused, dy);
  ReorderThreads(2);
  EXPECT_EQ(both, Compute(GetParam(), at, fused, dy));
  at.rows = 1;
  const Outputs second = Compute(GetParam(), at, {fused.begin() + at.fused_size(), fused.end()},
                                 {dy.begin() + at.y_size(), dy.end()});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(second[i], std::vector<float>(both[i].begin() + both[i].size() / 2, both[i].end())) << i;
  }
}

TEST_P(CudaAttentionOf, GradientThatNobodyWantsChangesTheOthers) {
  const AttentionCase at(21, 4, 2, 12, true);
  const std::vector<float> fused = Random(at.fused_size(), -2, 2, 7), dy = Random(at.y_size(), -1, 1, 8);
  const Outputs expected = Compute(GetParam(), at, fused, dy);
  for (int unwanted = 0; unwanted < 3; ++unwanted) {
    const Outputs out = Compute(GetParam(), at, fused, dy, unwanted);
    for (size_t i = 0; i < fused.size(); ++i) {
      const int64_t column = static_cast<int64_t>(i) % at.shape.q_stride;
      const int part = column < at.q_width() ? 0 : column < at.q_width() + at.k_width() ? 1 : 2;
      ASSERT_EQ(out[2][i], part == unwanted ? 5.0f : expected[2][i]) << part << " without " << unwanted;
    }
  }
}

TEST_P(CudaAttentionOf, HugeScoresOverflow) {
  const AttentionCase at(40, 1, 1, 4, true);
  std::vector<float> fused = Random(at.fused_size(), -2, 2, 9);
  for (int64_t t = 0; t < at.rows * at.shape.steps; ++t) {
    for (int c = 0; c < 8; ++c) fused[t * at.shape.q_stride + c] *= 100.0f;
  }
  for (const std::vector<float>& values : Compute(GetParam(), at, fused, Random(at.y_size(), -1, 1, 10))) {
    for (const float value : values) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_P(CudaAttentionOf, TooWideHeadIsLaunched) {
  const AttentionCase at(3, 1, 1, cuda::kMaxHeadWidth + 1, true);
  EXPECT_FALSE(
      cuda::AttentionForward(GetParam(), at.shape, 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr)
          .ok());
}

}  // namespace
}  // namespace lockstep::kernels::cuda_attention_test
