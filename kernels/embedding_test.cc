#include "kernels/embedding.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

struct Buckets {
  std::vector<int32_t> place, begin, token, scratch;
  TokenBuckets view;
  explicit Buckets(int64_t places)
      : place(places), begin(places + 1), token(places), scratch(BucketScratch(places)) {
    view = {place.data(), begin.data(), token.data(), 0};
  }
};

std::vector<int32_t> Tokens(int64_t count, int32_t vocabulary, uint64_t stream) {
  std::vector<int32_t> out;
  for (const float x : Random(count, 0, 1, stream)) {
    out.push_back(std::min(static_cast<int32_t>(x * static_cast<float>(vocabulary)), vocabulary - 1));
  }
  return out;
}

TEST(Embedding, ForwardReadsTheWrongRow) {
  const int64_t rows = 3, steps = 5, width = 7;
  const std::vector<int32_t> tokens = Tokens(rows * steps, 11, 1);
  const std::vector<float> table = Random(11 * width, -1, 1, 2), positions = Random(steps * width, -1, 1, 3);
  std::vector<float> y(rows * steps * width), bare(y.size());
  cpu::EmbeddingForward(rows, steps, width, tokens.data(), table.data(), positions.data(), y.data());
  cpu::EmbeddingForward(rows, steps, width, tokens.data(), table.data(), nullptr, bare.data());
  for (int64_t i = 0; i < rows * steps; ++i) {
    for (int64_t c = 0; c < width; ++c) {
      EXPECT_EQ(bare[i * width + c], table[tokens[i] * width + c]);
      EXPECT_EQ(y[i * width + c], table[tokens[i] * width + c] + positions[i % steps * width + c]);
    }
  }
}

TEST(Embedding, BucketsMissOrMixPlaces) {
  for (const int32_t vocabulary : {3, 300, 70'000, 20'000'000}) {
    const int64_t places = 60;
    std::vector<int32_t> tokens = Tokens(places, vocabulary, 4);
    tokens[7] = tokens[3] = 0;
    tokens[59] = vocabulary - 1;
    const int rows[] = {15, 0, 11, 15}, end = 4;
    Buckets buckets(places);
    cpu::BucketTokens({15, rows, 1, &end}, tokens.data(), buckets.scratch.data(), buckets.view);
    int seen = 0;
    for (int64_t b = 0; b < buckets.view.count; ++b) {
      EXPECT_TRUE(b == 0 || buckets.token[b - 1] < buckets.token[b]);
      for (int32_t i = buckets.begin[b]; i < buckets.begin[b + 1]; ++i, ++seen) {
        EXPECT_EQ(tokens[buckets.place[i]], buckets.token[b]);
        EXPECT_LT(buckets.place[i] % 15, rows[buckets.place[i] / 15]) << "a place that is not real";
        EXPECT_TRUE(i == buckets.begin[b] || buckets.place[i - 1] < buckets.place[i]);
      }
    }
    EXPECT_EQ(seen, 41);
  }
}

TEST(Embedding, OrderMixesShardsOrLosesPlaces) {
  const std::vector<int32_t> tokens = Tokens(4 * 30, 700, 9);
  const int rows[] = {10, 4, 0, 10}, end = 4;
  ShardTree tree{10, rows, 1, &end};
  tree.positions = 3;
  std::vector<int32_t> order(120, -1), scratch(120);
  cpu::OrderByToken(tree, 0, 1, tokens.data(), scratch.data(), order.data());
  cpu::OrderByToken(tree, 1, 4, tokens.data(), scratch.data(), order.data());
  for (int s = 0; s < 4; ++s) {
    for (int64_t i = 0; i < 30; ++i) {
      const int32_t place = order[s * 30 + i];
      if (i >= rows[s] * 3) {
        EXPECT_EQ(place, -1);
        continue;
      }
      EXPECT_EQ(place / 30, s);
      if (i == 0) continue;
      const int32_t before = order[s * 30 + i - 1];
      EXPECT_TRUE(tokens[before] < tokens[place] || (tokens[before] == tokens[place] && before < place));
    }
  }
}

// Also finite differences: the loss is linear in the table, so that its slope is the sum of dy itself.
TEST(Embedding, GradientDiffersFromFloat64OrFromTheTree) {
  for (const int64_t width : {1, 5, 16, 70}) {
    const int32_t vocabulary = 6;
    const int64_t places = 5 * 8;
    const std::vector<int32_t> tokens = Tokens(places, vocabulary - 1, 5);  // the last never occurs
    const std::vector<float> dy = Random(places * width, -1, 1, 6);
    const int rows[] = {8, 3, 0, 8, 7}, ends[] = {4, 5};
    const ShardTree tree{8, rows, 2, ends};
    Buckets buckets(places);
    cpu::BucketTokens(tree, tokens.data(), buckets.scratch.data(), buckets.view);
    const int64_t stride = vocabulary * width + 3;
    std::vector<float> whole(2 * stride, 0.0f), split = whole;
    cpu::EmbeddingBackward(tree, buckets.view, 0, buckets.view.count, width, dy.data(), whole.data(), stride);
    for (int64_t b = 0; b < buckets.view.count; ++b) {
      cpu::EmbeddingBackward(tree, buckets.view, b, b + 1, width, dy.data(), split.data(), stride);
    }
    EXPECT_EQ(whole, split);
    for (int32_t v = 0; v < vocabulary; ++v) {
      for (int64_t c = 0; c < width; ++c) {
        float leaf[5] = {};
        double exact[2] = {};
        for (int s = 0; s < 5; ++s) {
          for (int i = s * 8; i < s * 8 + rows[s]; ++i) {
            if (tokens[i] != v) continue;
            leaf[s] += dy[i * width + c];
            exact[s / 4] += dy[i * width + c];
          }
        }
        EXPECT_EQ(whole[v * width + c], (leaf[0] + leaf[1]) + (leaf[2] + leaf[3]));
        EXPECT_EQ(whole[stride + v * width + c], leaf[4]);
        EXPECT_NEAR(whole[v * width + c], exact[0], 1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
