#include "kernels/newton_schulz.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"
#include "kernels/muon.h"
#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

using Matrix = std::vector<double>;

// (m, k) times (k, n).
Matrix Times(const Matrix& a, const Matrix& b, int m, int k, int n) {
  Matrix out(m * n);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int l = 0; l < k; ++l) out[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
  return out;
}

Matrix Turned(const Matrix& a, int rows, int columns) {
  Matrix out(a.size());
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) out[j * rows + i] = a[i * columns + j];
  }
  return out;
}

Matrix Reference(Matrix m, int rows, int columns) {
  if (rows > columns) return Turned(Reference(Turned(m, rows, columns), columns, rows), columns, rows);
  double squares = 0;
  for (double value : m) squares += value * value;
  for (double& value : m) value /= std::max(std::sqrt(squares), 1e-7);
  for (int step = 0; step < 5; ++step) {
    const Matrix gram = Times(m, Turned(m, rows, columns), rows, columns, rows);
    Matrix update = Times(gram, gram, rows, rows, rows);
    for (size_t i = 0; i < update.size(); ++i) update[i] = -4.775 * gram[i] + 2.0315 * update[i];
    const Matrix product = Times(update, m, rows, rows, columns);
    for (size_t i = 0; i < m.size(); ++i) m[i] = 3.4445 * m[i] + product[i];
  }
  return m;
}

struct Shape {
  int rows, columns;
};

TEST(NewtonSchulz, DiffersFromFloat64) {
  cpu::PrepareThread();
  for (const auto& [rows, columns] : {Shape{1, 1}, Shape{1, 17}, Shape{5, 3}, Shape{16, 33}, Shape{37, 20}}) {
    std::vector<float> m = Random(rows * columns, -1, 1, rows);
    const Matrix expected = Reference(Matrix(m.begin(), m.end()), rows, columns);
    std::vector<float> scratch(cpu::NewtonSchulzScratch(rows, columns), NAN);
    cpu::NewtonSchulz(rows, columns, m.data(), scratch.data());
    for (size_t i = 0; i < m.size(); ++i) EXPECT_NEAR(m[i], expected[i], 1e-4) << rows << "x" << columns;
  }
}

TEST(NewtonSchulz, RowsAreFarFromOrthonormal) {
  const int rows = 8, columns = 24;
  std::vector<float> m = Random(rows * columns, -1, 1, 3);
  std::vector<float> scratch(cpu::NewtonSchulzScratch(rows, columns));
  cpu::NewtonSchulz(rows, columns, m.data(), scratch.data());
  const Matrix x(m.begin(), m.end());
  const Matrix gram = Times(x, Turned(x, rows, columns), rows, columns, rows);
  for (int i = 0; i < rows; ++i) {
    EXPECT_GT(gram[i * rows + i], 0.4);
    EXPECT_LT(gram[i * rows + i], 1.35);
  }
}

TEST(NewtonSchulz, ZeroMatrixBecomesNan) {
  std::vector<float> m(6 * 4), scratch(cpu::NewtonSchulzScratch(6, 4));
  cpu::NewtonSchulz(6, 4, m.data(), scratch.data());
  EXPECT_EQ(m, std::vector<float>(24, 0.0f));
}

TEST(MuonMomentum, DiffersFromFloat64) {
  for (const int count : {1, 1003}) {
    std::vector<float> buffer(count), direction(count);
    Matrix b(count);
    for (int t = 0; t < 5; ++t) {
      const std::vector<float> g = Random(count, -1, 1, 10 + t);
      cpu::MuonMomentum(0.95f, {0.5f, 0.2f}, count, g.data(), buffer.data(), direction.data());
      for (int i = 0; i < count; ++i) {
        const double gi = std::clamp(0.5 * g[i], -double{0.2f}, double{0.2f});
        b[i] += 0.05 * (gi - b[i]);
        EXPECT_NEAR(buffer[i], b[i], 1e-6);
        EXPECT_NEAR(direction[i], gi + 0.95 * (b[i] - gi), 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
