#include "common/numerics/philox.h"

#include <array>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;

// Random123's known answers (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(Philox(0, 0, 0).value, ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}).value,
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
}

// One weight in 16 million meets these: GPT-2's first weights once held an infinity.
TEST(UniformFromBits, IsNeverZeroNorOne) {
  for (const uint32_t bits : {0u, 0xffu, 0x7fffffffu, 0x80000000u, 0xffffff00u, 0xffffffffu}) {
    const float value = UniformFromBits(bits);
    EXPECT_GT(value, 0.0f) << bits;
    EXPECT_LT(value, 1.0f) << bits;
    EXPECT_TRUE(std::isfinite(std::log(1.0 - value))) << bits;
  }
}

TEST(UniformFromBits, GrowsWithTheBits) {
  for (uint32_t bits = 0; bits < 0xfe000000u; bits += 0x01fffe00u) {
    EXPECT_LT(UniformFromBits(bits), UniformFromBits(bits + 0x01fffe00u));
  }
}

}  // namespace
}  // namespace lockstep
