// Products by the machine's own cuBLASLt on a GPU, in whole models; device_products_test.cc has the rest,
// over a stand-in.
#include "kernels/cublas/lt_api.h"
#include "worker/engine/device/device_rank_for_test.h"

namespace lockstep::engine::library_products_test {
namespace {

class LibraryProducts : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = kernels::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    const absl::StatusOr<const kernels::LtLibrary*> library = kernels::LoadLt();
    if (!library.ok()) GTEST_SKIP() << library.status();
    library_ = **library;
    library_.least_work = 0;
  }
  ExecutorOptions Options(Precision precision) const {
    ExecutorOptions options;
    options.precision = precision;
    options.products = &library_;
    return options;
  }
  // The root's, of ranks that all use `choices`.
  std::vector<float> Gradient(int world, const ProductChoices& choices,
                              const ExecutorOptions& options) const {
    std::vector<TreeNode> nodes;
    std::vector<std::vector<float>> sums;
    const int64_t size = job_.model->gradient_size();
    for (int r = 0; r < world; ++r) {
      const ShardRange range = ShardsOfRank(job_.shards, world, r);
      const std::vector<TreeNode> mine = MaximalNodes(job_.shards, range);
      const auto rank = MakeDeviceRank(job_, range, options);
      const absl::Status status = rank->executor().UseProducts(rank->weights(), choices);
      EXPECT_TRUE(status.ok()) << status;
      const std::vector<float> out = rank->Gradient(3, job_.batch_rows());
      for (size_t n = 0; n < mine.size(); ++n) {
        nodes.push_back(mine[n]);
        sums.emplace_back(out.begin() + static_cast<int64_t>(n) * size,
                          out.begin() + static_cast<int64_t>(n + 1) * size);
      }
    }
    const TreeSchedule schedule = ScheduleFor(Root(job_.shards), job_.shards, nodes);
    for (const TreeAdd& add : schedule.adds) {
      for (int64_t i = 0; i < size; ++i) sums[add.target][i] += sums[add.source][i];
    }
    return sums[schedule.result];
  }

  const TestJob job_{TestJob::Options{"relu", 256, 64, {512, 384}, 0.1, 8, 96}};
  kernels::LtLibrary library_;
};

TEST_F(LibraryProducts, GradientLeavesOurOwnKernelsOrItsBitsDependOnTheRanks) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const ExecutorOptions options = Options(precision);
    ProductChoices choices;
    {
      const auto rank = MakeDeviceRank(job_, {0, job_.shards}, options);
      const absl::Status status = rank->executor().ChooseProducts(rank->weights(), &choices);
      ASSERT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(choices.of.size(), 8u);
    const std::vector<float> alone = Gradient(1, choices, options);
    kernels::ExpectClose(alone, Gradient(1, {}, options), precision == Precision::kBf16 ? 2e-3 : 1e-5);
    EXPECT_EQ(Gradient(1, *ProductChoices::Parse(choices.ToText()), options), alone);
    for (const int world : {2, 3, 8}) {
      EXPECT_EQ(Gradient(world, choices, options), alone) << world << " ranks\n" << choices.ToText();
    }
  }
}

}  // namespace
}  // namespace lockstep::engine::library_products_test
