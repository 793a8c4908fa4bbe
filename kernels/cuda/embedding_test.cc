#include "kernels/cuda/embedding.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/shard_tree_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_embedding_test {
namespace {

class CudaEmbedding : public CudaTest {};

std::vector<int32_t> Tokens(int64_t count, int32_t vocabulary, uint64_t stream) {
  std::vector<int32_t> out;
  for (const float x : Random(count, 0, 1, stream)) {
    out.push_back(std::min(static_cast<int32_t>(x * static_cast<float>(vocabulary)), vocabulary - 1));
  }
  return out;
}

TEST_F(CudaEmbedding, ForwardReadsTheWrongRow) {
  for (const int64_t width : {7, 36}) {
    const int64_t rows = 3, steps = 5, count = rows * steps * width;
    const std::vector<int32_t> tokens = Tokens(rows * steps, 11, 1);
    const std::vector<float> table = Random(11 * width, -1, 1, 2),
                             positions = Random(steps * width, -1, 1, 3);
    const auto out = InAnyOrder([&] {
      const OnDevice<int32_t> t(tokens);
      const OnDevice<float> rows_of(table), at(positions), y(count), bare(count);
      EXPECT_LAUNCHED(
          cuda::EmbeddingForward(rows, steps, width, t.get(), rows_of.get(), at.get(), y.get(), nullptr));
      EXPECT_LAUNCHED(
          cuda::EmbeddingForward(rows, steps, width, t.get(), rows_of.get(), nullptr, bare.get(), nullptr));
      return Outputs{y.Fetch(), bare.Fetch()};
    });
    for (int64_t i = 0; i < count; ++i) {
      const float value = table[tokens[i / width] * width + i % width];
      ASSERT_EQ(out[1][i], value);
      ASSERT_EQ(out[0][i], value + positions[i / width % steps * width + i % width]);
    }
  }
}

TEST_F(CudaEmbedding, GradientDiffersFromFloat64OrTouchesOtherRows) {
  for (const int64_t width : {1, 36, 140}) {
    const int32_t vocabulary = 6;
    const int per_shard = 30;
    const std::vector<int> real = {30, 11, 0, 30, 27};
    const TreeOnDevice tree(per_shard, 1, real, {4, 5});
    const int64_t places = 5 * per_shard, stride = vocabulary * width + (width % 4 == 0 ? 4 : 3);
    const std::vector<int32_t> tokens = Tokens(places, vocabulary - 1, 5);  // the last never occurs
    std::vector<float> dy = Random(places * width, -1, 1, 6);
    std::vector<double> expected(2 * stride, -7);
    for (int64_t i = 0; i < places; ++i) {
      const bool is_real = i % per_shard < real[i / per_shard];
      for (int64_t c = 0; c < width; ++c) {
        if (!is_real) dy[i * width + c] = NAN;
        for (int node = 0; node < 2 && is_real; ++node) {
          double& sum = expected[node * stride + tokens[i] * width + c];
          if (sum == -7) sum = 0;  // a token of one node alone is zero in the other
          if (node == (i / per_shard == 4)) sum += dy[i * width + c];
        }
      }
    }
    std::vector<int32_t> place(places), begin(places + 1), token(places), scratch(BucketScratch(places));
    TokenBuckets host{place.data(), begin.data(), token.data(), 0};
    const int ends[] = {4, 5};
    cpu::BucketTokens({per_shard, real.data(), 2, ends}, tokens.data(), scratch.data(), host);
    const auto out = InAnyOrder([&] {
      const OnDevice<int32_t> p(place), b(begin), t(token);
      const OnDevice<float> d(dy), dtable(std::vector<float>(2 * stride, -7.0f));
      EXPECT_LAUNCHED(cuda::EmbeddingBackward(tree.tree, {p.get(), b.get(), t.get(), host.count}, width,
                                              d.get(), dtable.get(), stride, nullptr));
      return Outputs{dtable.Fetch()};
    });
    ExpectClose(out[0], expected, 1e-5);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_embedding_test
