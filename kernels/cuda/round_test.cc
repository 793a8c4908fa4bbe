#include "kernels/cuda/round.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_round_test {
namespace {

class CudaRound : public CudaTest {};

uint16_t NearestEven(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

TEST_F(CudaRound, TiesLeaveTheEvenOrAnythingIsWrittenBesideTheResult) {
  for (const size_t count : {1, 3, 4, 255, 1030}) {
    std::vector<float> in = Random(static_cast<int64_t>(count), -1, 1, 5);
    in[0] = 1.00390625f;  // between two
    if (count > 2) in[1] = 1.01171875f, in[2] = std::numeric_limits<float>::infinity();
    const OnDevice<float> from(in);
    const OnDevice<uint16_t> to(count);
    EXPECT_LAUNCHED(cuda::RoundToBf16(static_cast<int64_t>(count), from.get(), to.get(), nullptr));
    const std::vector<uint16_t> out = to.Fetch();
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], NearestEven(in[i])) << in[i] << " at " << i;
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_round_test
