#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>

#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

struct Shape {
  int m, n, k;
};

// Every edge of the tiles, and more than one block of each dimension.
constexpr Shape kShapes[] = {{1, 1, 1},     {7, 13, 5},    {12, 32, 8},   {13, 33, 257}, {64, 10, 64},
                             {150, 70, 31}, {5, 530, 300}, {25, 66, 515}, {64, 64, 64}};

struct Operands {
  Operands(const Shape& s, bool transposed, bool add)
      : a(Random(s.m * s.k, -1, 1, 1)),
        b(Random(s.n * s.k, -1, 1, 2)),
        c(Random(s.m * s.n, -1, 1, 3)),
        scratch(kGemmScratch) {
    arguments = {s.m,        s.n,      s.k, a.data(), s.k, b.data(), transposed ? s.k : s.n,
                 transposed, c.data(), s.n, add};
  }
  float B(int k, int n) const {
    return arguments.b_transposed ? b[n * arguments.k + k] : b[k * arguments.n + n];
  }

  std::vector<float> a, b, c, scratch;
  GemmArguments arguments;
};

void Check(GemmType type, double tolerance) {
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      for (const bool add : {false, true}) {
        Operands o(s, transposed, add);
        const std::vector<float> before = o.c;
        cpu::Gemm(type, o.arguments, o.scratch.data());
        for (int i = 0; i < s.m; ++i) {
          for (int j = 0; j < s.n; ++j) {
            double expected = add ? before[i * s.n + j] : 0;
            for (int l = 0; l < s.k; ++l) {
              const float left = o.a[i * s.k + l], right = o.B(l, j);
              expected += type == GemmType::kBf16 ? double{RoundedToBf16(left)} * RoundedToBf16(right)
                                                  : double{left} * right;
            }
            ASSERT_NEAR(o.c[i * s.n + j], expected, tolerance)
                << s.m << "x" << s.n << "x" << s.k << (transposed ? " transposed" : "") << " at " << i << ", "
                << j;
          }
        }
      }
    }
  }
}

TEST(Gemm, DiffersFromFloat64) { Check(GemmType::kFp32, 5e-5); }

TEST(Gemm, Bf16DiffersFromRoundedFloat64) {
  if (!cpu::HasBf16()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  Check(GemmType::kBf16, 5e-5);
}

TEST(Gemm, RowDependsOnTheRowsBesideIt) {
  for (const GemmType type : {GemmType::kFp32, GemmType::kBf16}) {
    if (type == GemmType::kBf16 && !cpu::HasBf16()) continue;
    for (const bool transposed : {false, true}) {
      Operands whole({29, 75, 300}, transposed, false);
      cpu::Gemm(type, whole.arguments, whole.scratch.data());
      Operands cut({29, 75, 300}, transposed, false);
      for (const auto& [row, column, m, n] :
           {std::array{0, 0, 5, 40}, {0, 40, 5, 35}, {5, 0, 24, 40}, {5, 40, 24, 35}}) {
        GemmArguments part = cut.arguments;
        part.m = m;
        part.n = n;
        part.a += row * part.lda;
        part.b += column * (transposed ? part.ldb : 1);
        part.c += row * part.ldc + column;
        cpu::Gemm(type, part, cut.scratch.data());
      }
      EXPECT_EQ(whole.c, cut.c);
    }
  }
}

TEST(Gemm, RoundedOperandGivesOtherBits) {
  if (!cpu::HasBf16()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  for (const Shape& s : kShapes) {
    for (const bool transposed : {false, true}) {
      Operands whole(s, transposed, false), rounded(s, transposed, false);
      std::vector<uint16_t> b(rounded.b.size());
      cpu::RoundToBf16(static_cast<int64_t>(b.size()), rounded.b.data(), b.data(), false);
      rounded.arguments.b_rounded = b.data();
      if (cpu::ReadsRounded()) rounded.arguments.b = nullptr;
      cpu::Gemm(GemmType::kBf16, whole.arguments, whole.scratch.data());
      cpu::Gemm(GemmType::kBf16, rounded.arguments, rounded.scratch.data());
      EXPECT_EQ(whole.c, rounded.c) << s.m << "x" << s.n << "x" << s.k << (transposed ? " transposed" : "");
    }
  }
}

TEST(RoundToBf16, DependsOnTheAddressOrWritesBeyond) {
  if (!cpu::HasBf16()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  constexpr uint16_t kUntouched = 0x7fff;
  const std::vector<float> in = Random(200, -1, 1, 4);
  for (const bool past_caches : {false, true}) {
    for (int offset = 0; offset < 64; ++offset) {
      for (const int count : {0, 1, 15, 16, 31, 32, 33, 64, 100}) {
        std::vector<uint16_t> out(300, kUntouched);
        cpu::RoundToBf16(count, in.data() + offset, out.data() + 64 + offset, past_caches);
        for (int i = 0; i < 300; ++i) {
          const int at = i - 64 - offset;
          if (at < 0 || at >= count) {
            ASSERT_EQ(out[i], kUntouched) << count << " values at " << offset << ": place " << at;
            continue;
          }
          const auto bits = static_cast<uint32_t>(out[i]) << 16;
          ASSERT_EQ(std::bit_cast<float>(bits), RoundedToBf16(in[offset + at]))
              << count << " values at " << offset << ": place " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
