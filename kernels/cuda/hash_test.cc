#include "kernels/cuda/hash.h"

#include <bit>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_hash_test {
namespace {

class CudaHash : public CudaTest {};

uint64_t Expected(const std::vector<float>& x, uint64_t before) {
  uint64_t sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    uint64_t z = uint64_t{i} << 32 ^ std::bit_cast<uint32_t>(x[i]);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    sum += z ^ z >> 31;
  }
  return before * 0x9e3779b97f4a7c15u + sum;
}

uint64_t OnTheDevice(const std::vector<float>& x, uint64_t before, int64_t skip = 0) {
  const OnDevice<float> values(x);
  const OnDevice<uint64_t> partials(cuda::kHashPartials), hash(std::vector<uint64_t>{before});
  EXPECT_LAUNCHED(cuda::ChainHash(static_cast<int64_t>(x.size()) - skip, values.get() + skip, partials.get(),
                                  hash.get(), nullptr));
  return hash.Fetch()[0];
}

TEST_F(CudaHash, DiffersFromItsDefinition) {
  for (const int64_t count : {0, 1, 3, 1024, 4099}) {
    for (const int64_t skip : {0, 1}) {
      const std::vector<float> x = Random(count + skip, -1, 1, 1);
      const uint64_t expected = Expected({x.begin() + skip, x.end()}, 77);
      for (uint64_t seed = 0; seed < 3; ++seed) {
        ReorderThreads(seed);
        EXPECT_EQ(OnTheDevice(x, 77, skip), expected) << count << " behind " << skip;
      }
    }
  }
}

TEST_F(CudaHash, OneBitOrTwoFloatsThatChangedPlacesGoUnnoticed) {
  const std::vector<float> x = Random(131, -1, 1, 1);
  const uint64_t whole = OnTheDevice(x, 0);
  for (const size_t at : {0, 63, 130}) {
    std::vector<float> flipped = x, exchanged = x;
    flipped[at] = std::bit_cast<float>(std::bit_cast<uint32_t>(x[at]) ^ 1u);
    std::swap(exchanged[at], exchanged[(at + 1) % x.size()]);
    EXPECT_NE(OnTheDevice(flipped, 0), whole);
    EXPECT_NE(OnTheDevice(exchanged, 0), whole);
  }
  std::vector<float> zeros(4, 0.0f), minus = zeros;
  minus[2] = -0.0f;
  EXPECT_NE(OnTheDevice(zeros, 0), OnTheDevice(minus, 0));
}

}  // namespace
}  // namespace lockstep::kernels::cuda_hash_test
