#include "kernels/cuda/tree_add.h"

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_tree_add_test {
namespace {

class CudaTreeAdd : public CudaTest {};

TEST_F(CudaTreeAdd, IsNotAPlainSum) {
  for (const int64_t count : {1, 16, 2051}) {
    for (const int64_t skip : {0, 1}) {  // buffers that are not aligned alike
      const std::vector<float> source = Random(count + 1, -1, 1, 1), target = Random(count + 1, -1, 1, 2);
      const auto out = InAnyOrder([&] {
        const OnDevice<float> from(source), to(target);
        EXPECT_LAUNCHED(cuda::TreeAddInto(count, from.get() + skip, to.get(), nullptr));
        return Outputs{to.Fetch()};
      });
      for (int64_t i = 0; i < count; ++i) ASSERT_EQ(out[0][i], target[i] + source[i + skip]);
      EXPECT_EQ(out[0][count], target[count]);
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_tree_add_test
