#include "kernels/rounding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

float Wide(uint16_t rounded) { return std::bit_cast<float>(uint32_t{rounded} << 16); }

std::vector<uint16_t> Rounded(const Rounding& rounding, int64_t first, const std::vector<float>& in) {
  std::vector<uint16_t> out(in.size() + 1, 7);
  cpu::RoundStochastically(rounding, first, std::ssize(in), in.data(), out.data());
  EXPECT_EQ(out.back(), 7);
  out.pop_back();
  return out;
}

TEST(RoundStochastically, BitsAreNotTheOnesOfTheHeaderOrDependOnTheCut) {
  const Rounding rounding{true, 0x123456789abcdefull, (int64_t{1} << 40) + 5};
  const int64_t far = (int64_t{1} << 35) - 70;  // where a block's number leaves 32 bits
  for (const int64_t base : {int64_t{0}, far - far % 64, (int64_t{1} << 34) - 64}) {
    const std::vector<float> in = Random(700, -1, 1, 3);
    const std::vector<uint16_t> whole = Rounded(rounding, base, in);
    for (int64_t i = 0; i < std::ssize(in); ++i) {
      const auto place = static_cast<uint64_t>(base + i);
      const uint32_t word = Philox(rounding.seed, rounding.CounterHigh(), place / 4).value[place % 4];
      const auto bits = std::bit_cast<uint32_t>(in[i]);
      ASSERT_EQ(whole[i], static_cast<uint16_t>((bits + (word >> 16)) >> 16)) << base << " + " << i;
      ASSERT_EQ(whole[i], RoundedStochastically(bits, word));
    }
    for (const auto& [begin, end] : {std::pair{1, 5}, {63, 66}, {3, 700}, {64, 128}, {130, 131}}) {
      const std::vector<float> part(in.begin() + begin, in.begin() + end);
      EXPECT_EQ(Rounded(rounding, base + begin, part),
                std::vector<uint16_t>(whole.begin() + begin, whole.begin() + end));
    }
  }
}

TEST(RoundStochastically, MeanIsNotTheWeightOrANeighbourIsSkipped) {
  const float down = 1.0f, up = 1.0f + 0x1p-7f;
  for (const float share : {0.0f, 0.25f, 0.9f}) {
    const std::vector<float> in(64, down + share * (up - down));
    double sum = 0;
    constexpr int kSteps = 400;
    for (int step = 0; step < kSteps; ++step) {
      for (const uint16_t rounded : Rounded({true, 9, step}, 0, in)) {
        const float wide = Wide(rounded);
        ASSERT_TRUE(wide == down || wide == up) << wide;
        sum += wide == up ? 1 : 0;
      }
    }
    const double count = 64.0 * kSteps;
    EXPECT_NEAR(sum / count, share, 5 * std::sqrt(0.25 / count) * (share > 0 ? 1 : 0));
  }
}

TEST(RoundStochastically, SpecialValuesAreLost) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in = {0.0f,
                                 -0.0f,
                                 kInfinity,
                                 -kInfinity,
                                 std::nanf(""),
                                 std::bit_cast<float>(0x7f800001u),
                                 std::bit_cast<float>(0xffffffffu)};
  const std::vector<uint16_t> out = Rounded({true, 1, 2}, 0, in);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(std::bit_cast<uint32_t>(Wide(out[i])), std::bit_cast<uint32_t>(in[i]));
  for (int i = 4; i < 7; ++i) EXPECT_TRUE(std::isnan(Wide(out[i]))) << i;
}

}  // namespace
}  // namespace lockstep::kernels
