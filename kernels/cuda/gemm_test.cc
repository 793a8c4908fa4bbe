#include "kernels/cuda/gemm.h"

#include <bit>
#include <cmath>

#include "kernels/cuda/device_for_test.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_gemm_test {
namespace {

struct Shape {
  int64_t m, n, k, extra;  // extra: what strides have beyond the width
};
// Every edge of a tile and of a slice; operands that are read four at a time, and that are not.
constexpr Shape kShapes[] = {{1, 1, 1, 0},   {3, 5, 16, 0},    {64, 64, 32, 0}, {65, 70, 33, 0},
                             {9, 130, 5, 1}, {130, 12, 20, 4}, {64, 10, 64, 2}, {7, 9, 0, 0}};

struct Operands {
  Operands(const Shape& s, bool transposed, bool add) {
    product.m = s.m, product.n = s.n, product.k = s.k;
    product.lda = s.k + s.extra, product.ldb = (transposed ? s.k : s.n) + s.extra,
    product.ldc = s.n + s.extra;
    product.b_transposed = transposed, product.add = add;
    a = Random(s.m * product.lda, -1, 1, 1);
    b = Random((transposed ? s.n : s.k) * product.ldb, -1, 1, 2);
    c = Random(s.m * product.ldc, -1, 1, 3);
  }
  double A(int64_t i, int64_t k) const { return a[i * product.lda + k]; }
  double B(int64_t k, int64_t j) const {
    return product.b_transposed ? b[j * product.ldb + k] : b[k * product.ldb + j];
  }
  std::vector<float> Run(GemmType type = GemmType::kFp32) const {
    const OnDevice<float> left(a), right(b), out(c);
    GemmArguments on_device = product;
    on_device.a = left.get(), on_device.b = right.get(), on_device.c = out.get();
    EXPECT_LAUNCHED(cuda::Gemm(type, on_device, nullptr));
    return out.Fetch();
  }
  std::vector<float> OnProcessor() const {
    std::vector<float> out = c, scratch(kGemmScratch);
    GemmArguments on_host = product;
    on_host.a = a.data(), on_host.b = b.data(), on_host.c = out.data();
    cpu::Gemm(GemmType::kFp32, on_host, scratch.data());
    return out;
  }
  GemmArguments product;
  std::vector<float> a, b, c;
};

class CudaGemm : public CudaTest {};

TEST_F(CudaGemm, DiffersFromFloat64OrWritesBesideTheResult) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      for (const bool add : {false, true}) {
        const Operands o(s, transposed, add);
        const auto out = InAnyOrder([&] { return Outputs{o.Run()}; });
        std::vector<double> expected(o.c.begin(), o.c.end());
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) {
            double& sum = expected[i * o.product.ldc + j];
            if (!add) sum = 0;
            for (int64_t k = 0; k < s.k; ++k) sum += o.A(i, k) * o.B(k, j);
          }
        }
        ExpectClose(out[0], expected, 1e-5);
      }
    }
  }
}

// Of the processor's result, which is one chain of fused multiply-adds as well.
TEST_F(CudaGemm, BitsDependOnTheTiles) {
  if (cpu::InstructionSet().find("avx") == std::string::npos) GTEST_SKIP() << "a processor without FMA";
  for (const Shape& s : {Shape{150, 70, 83, 0}, Shape{5, 200, 47, 1}, Shape{1540, 1030, 17, 0}}) {
    for (const bool transposed : {false, true}) {
      if (s.m > 1000 && transposed) continue;
      const Operands o(s, transposed, true);
      EXPECT_EQ(o.Run(), o.OnProcessor()) << s.m << "x" << s.n << "x" << s.k;
    }
  }
}

TEST_F(CudaGemm, RowDependsOnTheRowsBesideIt) {
  const Operands whole({70, 33, 50, 0}, true, false);
  const std::vector<float> all = whole.Run();
  for (const int64_t rows : {1, 2, 64, 69}) {
    Operands few = whole;
    few.product.m = rows;
    const std::vector<float> out = few.Run();
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + rows * 33, all.begin())) << rows << " rows";
  }
}

TEST_F(CudaGemm, Bf16DiffersFromFloat64OfRoundedOperandsOrWritesBesideTheResult) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      for (const bool add : {false, true}) {
        const Operands o(s, transposed, add);
        const auto out = InAnyOrder([&] { return Outputs{o.Run(GemmType::kBf16)}; });
        std::vector<double> expected(o.c.begin(), o.c.end());
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) {
            double& sum = expected[i * o.product.ldc + j];
            if (!add) sum = 0;
            for (int64_t k = 0; k < s.k; ++k) {
              sum += double{RoundedToBf16(static_cast<float>(o.A(i, k)))} *
                     RoundedToBf16(static_cast<float>(o.B(k, j)));
            }
          }
        }
        ExpectClose(out[0], expected, 1e-5);
      }
    }
  }
}

TEST_F(CudaGemm, RowInBf16DependsOnTheTilesOrTheRowsBesideIt) {
  const Operands whole({1540, 1030, 19, 0}, true, false);  // large tiles
  const std::vector<float> all = whole.Run(GemmType::kBf16);
  for (const int64_t rows : {1, 17, 70}) {
    Operands few = whole;
    few.product.m = rows;
    const std::vector<float> out = few.Run(GemmType::kBf16);
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + rows * 1030, all.begin())) << rows << " rows";
  }
}

TEST_F(CudaGemm, ProductWithARoundedOperandDiffersFromTheOneThatRoundsIt) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      const Operands o(s, transposed, true);
      std::vector<uint16_t> rounded;
      for (const float value : o.b) {
        rounded.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(RoundedToBf16(value)) >> 16));
      }
      const OnDevice<float> left(o.a), out(o.c);
      const OnDevice<uint16_t> right(rounded);
      GemmArguments product = o.product;
      product.a = left.get(), product.b_rounded = right.get(), product.c = out.get();
      EXPECT_LAUNCHED(cuda::Gemm(GemmType::kBf16, product, nullptr));
      EXPECT_EQ(out.Fetch(), o.Run(GemmType::kBf16)) << s.m << "x" << s.n << "x" << s.k;
    }
  }
}

// +0 at a slice's end would make +0 of a sum of -0.
TEST_F(CudaGemm, SumOfMinusZeroLosesItsSign) {
  const std::vector<float> minus(1, -0.0f), one(1, 1.0f);
  const OnDevice<float> a(minus), b(one), c(minus);
  GemmArguments product{1, 1, 1, a.get(), 1, b.get(), 1, false, c.get(), 1, true};
  EXPECT_LAUNCHED(cuda::Gemm(GemmType::kFp32, product, nullptr));
  EXPECT_TRUE(std::signbit(c.Fetch()[0]));
}

}  // namespace
}  // namespace lockstep::kernels::cuda_gemm_test
