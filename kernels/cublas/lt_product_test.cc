// Plans of products over the stand-in.
#include "kernels/cublas/lt_product.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "kernels/cublas/stand_in/lt.h"
#include "kernels/cuda/device_for_test.h"
#include "kernels/cuda/round.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::lt_product_test {
namespace {

constexpr stand_in::Algorithm kFixed[] = {stand_in::kForwards, stand_in::kBackwards, stand_in::kEvenFirst};

class LtProductTest : public CudaTest {
 protected:
  void SetUp() override {
    stand_in::Behave() = {};
    context_ = *LtContext::Make(stand_in::Lt());
  }
  void TearDown() override { stand_in::Behave() = {}; }
  static LtAlgorithm Algorithm(const LtProduct& product, stand_in::Algorithm number) {
    const std::vector<LtAlgorithm> all = *product.Candidates(9, false);
    for (const LtAlgorithm& each : all) {
      if (each.data[1] == static_cast<uint64_t>(number)) return each;
    }
    ADD_FAILURE() << "algorithm " << number << " was not proposed";
    return {};
  }
  LtContext context_;
};

struct Operands {
  explicit Operands(const LtShape& s)
      : shape(s),
        a(Random(s.m * s.k * s.batch, -1, 1, 1)),
        b(Random(s.n * s.k * (s.b_stride == 0 ? 1 : s.batch), -1, 1, 2)),
        c(Random(s.m * s.n * s.batch, -1, 1, 3)) {
    if (s.type == GemmType::kFp32) return;
    for (float& x : a) x = RoundedToBf16(x);
    for (float& x : b) x = RoundedToBf16(x);
  }
  std::vector<double> Expected() const {
    std::vector<double> out(c.size());
    for (int64_t i = 0; i < shape.batch; ++i) {
      for (int64_t r = 0; r < shape.m; ++r) {
        for (int64_t j = 0; j < shape.n; ++j) {
          const int64_t at = (i * shape.m + r) * shape.n + j;
          double sum = shape.add ? c[at] : 0;
          for (int64_t k = 0; k < shape.k; ++k) {
            sum += double{a[i * shape.a_stride + (shape.a_transposed ? k * shape.m + r : r * shape.k + k)]} *
                   b[i * shape.b_stride + (shape.b_transposed ? j * shape.k + k : k * shape.n + j)];
          }
          out[at] = sum;
        }
      }
    }
    return out;
  }
  std::vector<float> Run(const LtProduct& product, const LtAlgorithm& algorithm) const {
    const OnDevice<float> out(c), left(a), right(b), workspace(256);
    const OnDevice<uint16_t> low_left(a.size()), low_right(b.size());
    const bool bf16 = shape.type == GemmType::kBf16;
    if (bf16) {
      EXPECT_LAUNCHED(cuda::RoundToBf16(std::ssize(a), left.get(), low_left.get(), nullptr));
      EXPECT_LAUNCHED(cuda::RoundToBf16(std::ssize(b), right.get(), low_right.get(), nullptr));
    }
    // The stand-in wants its workspace aligned.
    auto* const aligned =
        reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(workspace.get()) + 255) / 256 * 256);
    const absl::Status status = product.Run(
        algorithm, bf16 ? static_cast<const void*>(low_left.get()) : left.get(),
        bf16 ? static_cast<const void*>(low_right.get()) : right.get(), out.get(), aligned, nullptr);
    EXPECT_TRUE(status.ok()) << status;
    return out.Fetch();
  }
  LtShape shape;
  std::vector<float> a, b, c;
};

LtShape ShapeOf(GemmType type, int64_t m, int64_t n, int64_t k, int batch) {
  LtShape shape;
  shape.type = type, shape.m = m, shape.n = n, shape.k = k, shape.batch = batch;
  shape.a_stride = m * k, shape.b_stride = 0, shape.c_stride = m * n;
  return shape;
}

TEST_F(LtProductTest, DiffersFromFloat64) {
  for (const GemmType type : {GemmType::kFp32, GemmType::kBf16}) {
    for (const int batch : {1, 3}) {
      for (const int bits : {0, 1, 2, 3, 4, 5, 6, 7}) {
        LtShape shape = ShapeOf(type, 5, 7, 9, batch);
        shape.a_transposed = (bits & 1) != 0, shape.b_transposed = (bits & 2) != 0,
        shape.add = (bits & 4) != 0;
        const auto product = LtProduct::Make(context_, shape);
        ASSERT_TRUE(product.ok()) << product.status();
        const Operands operands(shape);
        for (const stand_in::Algorithm number : kFixed) {
          ExpectClose(operands.Run(**product, Algorithm(**product, number)), operands.Expected(), 1e-5);
        }
      }
    }
  }
}

TEST_F(LtProductTest, AlgorithmIsNotTheOneThatWasChosen) {
  const LtShape shape = ShapeOf(GemmType::kFp32, 8, 8, 40, 2);
  const auto product = *LtProduct::Make(context_, shape);
  const Operands operands(shape);
  const std::vector<float> forwards = operands.Run(*product, Algorithm(*product, stand_in::kForwards));
  EXPECT_NE(operands.Run(*product, Algorithm(*product, stand_in::kBackwards)), forwards);
  EXPECT_NE(operands.Run(*product, Algorithm(*product, stand_in::kEvenFirst)), forwards);
  EXPECT_EQ(operands.Run(*product, Algorithm(*product, stand_in::kForwards)), forwards);
}

TEST_F(LtProductTest, SumsInPartsOrOfOtherTypesAreProposed) {
  const auto product = *LtProduct::Make(context_, ShapeOf(GemmType::kFp32, 8, 8, 40, 2));
  const auto has = [](const std::vector<LtAlgorithm>& all, stand_in::Algorithm number) {
    return std::any_of(all.begin(), all.end(), [&](const LtAlgorithm& each) {
      return each.data[1] == static_cast<uint64_t>(number);
    });
  };
  const std::vector<LtAlgorithm> fixed = *product->Candidates(9, true), any = *product->Candidates(9, false);
  EXPECT_FALSE(has(fixed, stand_in::kSplit));
  EXPECT_TRUE(has(any, stand_in::kSplit));
  EXPECT_FALSE(has(fixed, stand_in::kTf32));
  EXPECT_FALSE(has(any, stand_in::kTf32));
  EXPECT_TRUE(has(fixed, stand_in::kForwards));
}

TEST_F(LtProductTest, AlgorithmThatTheLibraryRefusesIsTaken) {
  const auto product = *LtProduct::Make(context_, ShapeOf(GemmType::kFp32, 8, 8, 40, 2));
  const LtAlgorithm backwards = Algorithm(*product, stand_in::kBackwards);
  EXPECT_TRUE(product->Check(backwards, true).ok());
  stand_in::Behave().refuses = stand_in::kBackwards;
  const absl::Status refused = product->Check(backwards, true);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "product of 8 x 8 x 40")) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "CUBLAS_STATUS_NOT_SUPPORTED (15)")) << refused;
  EXPECT_EQ(product->Check(LtAlgorithm(), true).code(), absl::StatusCode::kFailedPrecondition);
  const LtAlgorithm split = Algorithm(*product, stand_in::kSplit);
  EXPECT_TRUE(product->Check(split, false).ok());
  const absl::Status parts = product->Check(split, true);
  EXPECT_TRUE(absl::StrContains(parts.message(), "reproducible: false")) << parts;
}

TEST_F(LtProductTest, LibraryWithoutAnAlgorithmIsAnError) {
  const auto product = *LtProduct::Make(context_, ShapeOf(GemmType::kBf16, 8, 8, 40, 2));
  stand_in::Behave().supports = false;
  const auto candidates = product->Candidates(9, true);
  ASSERT_TRUE(candidates.ok()) << candidates.status();
  EXPECT_TRUE(candidates->empty());
}

TEST_F(LtProductTest, FailureSaysNothing) {
  const auto product = *LtProduct::Make(context_, ShapeOf(GemmType::kFp32, 8, 8, 4, 1));
  const LtAlgorithm forwards = Algorithm(*product, stand_in::kForwards);
  stand_in::Behave().fails = true;
  const OnDevice<float> memory(std::vector<float>(512));
  auto* const workspace =
      reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory.get()) + 255) / 256 * 256);
  const absl::Status status =
      product->Run(forwards, memory.get(), memory.get(), memory.get(), workspace, nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StrContains(status.message(), "cublasLtMatmul: ")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "Xid")) << status;
}

}  // namespace
}  // namespace lockstep::kernels::lt_product_test
