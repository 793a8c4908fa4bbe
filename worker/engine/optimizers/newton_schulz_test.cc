#include "worker/engine/optimizers/newton_schulz.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/test_support.h"

namespace lockstep::engine {
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

std::vector<float> Orthogonal(int rows, int columns, int threads, std::vector<float> m) {
  struct alignas(64) Line {
    float floats[16] = {NAN, NAN};
  };
  std::vector<Line> scratch(NewtonSchulzScratch(rows, columns, threads) / 16);
  Team team(threads);
  team.Run([&](const Member& member) { NewtonSchulz(member, rows, columns, m.data(), scratch[0].floats); });
  return m;
}

struct Shape {
  int rows, columns;
};

TEST(NewtonSchulz, DiffersFromFloat64OrDependsOnTheThreads) {
  for (const auto& [rows, columns] : {Shape{1, 1}, Shape{1, 17}, Shape{5, 3}, Shape{16, 33}, Shape{37, 20}}) {
    const std::vector<float> m = kernels::Random(rows * columns, -1, 1, rows);
    const Matrix expected = Reference(Matrix(m.begin(), m.end()), rows, columns);
    const std::vector<float> x = Orthogonal(rows, columns, 1, m);
    for (size_t i = 0; i < m.size(); ++i) EXPECT_NEAR(x[i], expected[i], 1e-4) << rows << "x" << columns;
    EXPECT_EQ(Orthogonal(rows, columns, 2, m), x) << rows << "x" << columns;
    EXPECT_EQ(Orthogonal(rows, columns, 3, m), x) << rows << "x" << columns;
  }
}

TEST(NewtonSchulz, RowsAreFarFromOrthonormal) {
  const int rows = 8, columns = 24;
  const std::vector<float> m = Orthogonal(rows, columns, 1, kernels::Random(rows * columns, -1, 1, 3));
  const Matrix x(m.begin(), m.end());
  const Matrix gram = Times(x, Turned(x, rows, columns), rows, columns, rows);
  for (int i = 0; i < rows; ++i) {
    EXPECT_GT(gram[i * rows + i], 0.4);
    EXPECT_LT(gram[i * rows + i], 1.35);
  }
}

TEST(NewtonSchulz, ZeroMatrixBecomesNan) {
  EXPECT_EQ(Orthogonal(6, 4, 1, std::vector<float>(24)), std::vector<float>(24, 0.0f));
}

}  // namespace
}  // namespace lockstep::engine
