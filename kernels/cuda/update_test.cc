#include "kernels/cuda/update.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/adagrad.h"
#include "kernels/cuda/combine.h"
#include "kernels/cuda/device_for_test.h"
#include "kernels/cuda/lerp.h"
#include "kernels/cuda/lion.h"
#include "kernels/cuda/muon.h"
#include "kernels/cuda/rmsprop.h"
#include "kernels/test_support.h"

namespace lockstep::kernels::cuda_update_test {
namespace {

class CudaUpdate : public CudaTest {};

constexpr Clip kClip{0.5f, 0.3f};
double Clipped(double g) { return std::clamp(g * 0.5, -0.3, 0.3); }
std::vector<double> Wide(const std::vector<float>& values) { return {values.begin(), values.end()}; }

TEST_F(CudaUpdate, AdamDiffersFromFloat64) {
  for (const int64_t count : {1, 77, 2051}) {
    const std::vector<float> g = Random(count, -1, 1, 1), w = Random(count, -1, 1, 2),
                             m = Random(count, -1, 1, 3), v = Random(count, 0, 1, 4);
    const AdamStep step{0.9f, 0.999f, 1e-2f, 1.5f, 1e-8f, 0.01f, 0.99f};
    const auto out = InAnyOrder([&] {
      const OnDevice<float> gradient(g), weights(w), first(m), second(v);
      EXPECT_LAUNCHED(cuda::AdamUpdate(step, kClip, count, gradient.get(), first.get(), second.get(),
                                       weights.get(), nullptr));
      return Outputs{weights.Fetch(), first.Fetch(), second.Fetch()};
    });
    std::vector<double> w64 = Wide(w), m64 = Wide(m), v64 = Wide(v);
    for (int64_t i = 0; i < count; ++i) {
      const double gi = Clipped(g[i]) + double{step.decay} * w64[i];
      m64[i] = double{step.beta1} * m64[i] + (1 - double{step.beta1}) * gi;
      v64[i] = double{step.beta2} * v64[i] + (1 - double{step.beta2}) * gi * gi;
      w64[i] = w64[i] * step.keep - step.rate1 * m64[i] / (std::sqrt(v64[i]) * step.root2 + step.epsilon);
    }
    ExpectClose(out[0], w64, 1e-5);
    ExpectClose(out[1], m64, 1e-6);
    ExpectClose(out[2], v64, 1e-6);
  }
}

TEST_F(CudaUpdate, SgdDiffersFromFloat64) {
  const int64_t count = 777;
  const std::vector<float> g = Random(count, -1, 1, 1), w = Random(count, -1, 1, 2),
                           b = Random(count, -1, 1, 3);
  for (const float momentum : {0.0f, 0.9f}) {
    for (const bool nesterov : {false, true}) {
      const SgdStep step{0.1f, momentum, nesterov, 0.01f};
      const auto out = InAnyOrder([&] {
        const OnDevice<float> gradient(g), weights(w), buffer(b);
        EXPECT_LAUNCHED(cuda::SgdUpdate(step, kClip, count, gradient.get(),
                                        momentum > 0 ? buffer.get() : nullptr, weights.get(), nullptr));
        return Outputs{weights.Fetch(), buffer.Fetch()};
      });
      std::vector<double> w64 = Wide(w), b64 = Wide(b);
      for (int64_t i = 0; i < count; ++i) {
        const double gi = Clipped(g[i]) + double{step.decay} * w64[i];
        double direction = gi;
        if (momentum > 0) {
          b64[i] = double{momentum} * b64[i] + gi;
          direction = nesterov ? gi + double{momentum} * b64[i] : b64[i];
        }
        w64[i] -= double{step.rate} * direction;
      }
      ExpectClose(out[0], w64, 1e-6);
      ExpectClose(out[1], b64, 1e-6);
    }
  }
}

TEST_F(CudaUpdate, RegularizeDiffersFromFloat64OrDependsOnTheAddress) {
  for (const int64_t count : {0, 1, 1027, 4096, 9001}) {
    for (const bool penalised : {true, false}) {
      const float l1 = penalised ? 0.5f : 0.0f, l2 = penalised ? 0.25f : 0.0f;
      const std::vector<float> w = Random(count + 1, -1, 1, 1), g = Random(count + 1, -1, 1, 2);
      std::vector<double> sums;
      const auto out = InAnyOrder([&] {
        const OnDevice<float> weights(w), gradient(g), moved(std::vector<float>(g.begin() + 1, g.end()));
        const OnDevice<double> squares(1), scratch(cuda::RegularizeScratch(count));
        EXPECT_LAUNCHED(cuda::Regularize(count, l1, l2, weights.get(), gradient.get() + 1, squares.get(),
                                         scratch.get(), nullptr));
        sums.push_back(squares.Fetch()[0]);
        EXPECT_LAUNCHED(cuda::Regularize(count, l1, l2, weights.get(), moved.get(), squares.get(),
                                         scratch.get(), nullptr));
        sums.push_back(squares.Fetch()[0]);
        return Outputs{gradient.Fetch()};
      });
      std::vector<double> expected(g.begin(), g.end());
      double squares = 0;
      for (int64_t i = 0; i < count; ++i) {
        if (penalised) expected[i + 1] += 0.5 * (w[i] > 0 ? 1 : -1) + 0.25 * w[i];
        squares += expected[i + 1] * expected[i + 1];
      }
      ExpectClose(out[0], expected, 1e-6);
      for (const double sum : sums) EXPECT_EQ(sum, sums[0]);
      EXPECT_NEAR(sums[0], squares, 1e-6 * (1 + squares));
    }
  }
}

struct Inputs {
  explicit Inputs(int64_t count)
      : g(Random(count, -1, 1, 1)),
        w(Random(count, -1, 1, 2)),
        a(Random(count, 0, 1, 3)),
        b(Random(count, -1, 1, 4)) {}
  std::vector<float> g, w, a, b;  // a is not negative
};

TEST_F(CudaUpdate, AdagradDiffersFromFloat64) {
  for (const int64_t count : {3, 1027}) {
    const Inputs in(count);
    const AdagradStep step{0.05f, 1e-10f, 0.01f};
    const auto out = InAnyOrder([&] {
      const OnDevice<float> g(in.g), w(in.w), s(in.a);
      EXPECT_LAUNCHED(cuda::AdagradUpdate(step, kClip, count, g.get(), s.get(), w.get(), nullptr));
      return Outputs{w.Fetch(), s.Fetch()};
    });
    std::vector<double> w = Wide(in.w), s = Wide(in.a);
    for (int64_t i = 0; i < count; ++i) {
      const double g = Clipped(in.g[i]) + double{step.decay} * w[i];
      s[i] += g * g;
      w[i] -= step.rate * g / (std::sqrt(s[i]) + step.epsilon);
    }
    ExpectClose(out[0], w, 1e-6);
    ExpectClose(out[1], s, 1e-6);
  }
}

TEST_F(CudaUpdate, RmsPropDiffersFromFloat64) {
  for (const int64_t count : {3, 1027}) {
    for (const float momentum : {0.0f, 0.9f}) {
      const Inputs in(count);
      const RmsPropStep step{0.01f, 0.99f, 1e-8f, momentum, 0.01f};
      const auto out = InAnyOrder([&] {
        const OnDevice<float> g(in.g), w(in.w), v(in.a), b(in.b);
        EXPECT_LAUNCHED(cuda::RmsPropUpdate(step, kClip, count, g.get(), v.get(),
                                            momentum > 0 ? b.get() : nullptr, w.get(), nullptr));
        return Outputs{w.Fetch(), v.Fetch(), b.Fetch()};
      });
      std::vector<double> w = Wide(in.w), v = Wide(in.a), b = Wide(in.b);
      for (int64_t i = 0; i < count; ++i) {
        const double g = Clipped(in.g[i]) + double{step.decay} * w[i];
        v[i] = double{step.alpha} * v[i] + (1 - double{step.alpha}) * g * g;
        const double u = g / (std::sqrt(v[i]) + step.epsilon);
        if (momentum > 0) b[i] = double{momentum} * b[i] + u;
        w[i] -= step.rate * (momentum > 0 ? b[i] : u);
      }
      ExpectClose(out[0], w, 2e-6);
      ExpectClose(out[1], v, 1e-6);
      ExpectClose(out[2], b, 5e-6);
    }
  }
}

TEST_F(CudaUpdate, LionDiffersFromFloat64) {
  for (const int64_t count : {3, 1027}) {
    Inputs in(count);
    in.g[1] = in.b[1] = 0;  // the sign of nothing moves nothing
    const LionStep step{0.01f, 0.9f, 0.99f, 0.999f};
    const auto out = InAnyOrder([&] {
      const OnDevice<float> g(in.g), w(in.w), m(in.b);
      EXPECT_LAUNCHED(cuda::LionUpdate(step, kClip, count, g.get(), m.get(), w.get(), nullptr));
      return Outputs{w.Fetch(), m.Fetch()};
    });
    std::vector<double> w = Wide(in.w), m = Wide(in.b);
    for (int64_t i = 0; i < count; ++i) {
      const double g = Clipped(in.g[i]), direction = double{step.beta1} * m[i] + (1 - double{step.beta1}) * g;
      w[i] = w[i] * step.keep - step.rate * (direction > 0 ? 1 : direction < 0 ? -1 : 0);
      m[i] = double{step.beta2} * m[i] + (1 - double{step.beta2}) * g;
    }
    ExpectClose(out[0], w, 1e-6);
    ExpectClose(out[1], m, 1e-6);
  }
}

TEST_F(CudaUpdate, MuonMomentumDiffersFromFloat64) {
  for (const int64_t count : {3, 1027}) {
    const Inputs in(count);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> g(in.g), b(in.b);
      EXPECT_LAUNCHED(cuda::MuonMomentum(0.95f, kClip, count, g.get(), b.get(), nullptr));
      return Outputs{g.Fetch(), b.Fetch()};
    });
    std::vector<double> g = Wide(in.g), b = Wide(in.b);
    for (int64_t i = 0; i < count; ++i) {
      g[i] = Clipped(g[i]);
      b[i] += (1 - double{0.95f}) * (g[i] - b[i]);
      g[i] += double{0.95f} * (b[i] - g[i]);
    }
    ExpectClose(out[0], g, 1e-6);
    ExpectClose(out[1], b, 1e-6);
  }
}

TEST_F(CudaUpdate, LerpOrCombineDiffersFromFloat64) {
  for (const int64_t count : {1, 16, 1027}) {
    const Inputs in(count);
    const auto out = InAnyOrder([&] {
      const OnDevice<float> x(in.g), y(in.w), z(in.w);
      EXPECT_LAUNCHED(cuda::Lerp(count, 0.25f, x.get(), y.get(), nullptr));
      EXPECT_LAUNCHED(cuda::Combine(count, -0.5f, x.get(), 2.0f, z.get(), nullptr));
      return Outputs{y.Fetch(), z.Fetch()};
    });
    std::vector<double> y(count), z(count);
    for (int64_t i = 0; i < count; ++i) {
      y[i] = 0.75 * in.w[i] + 0.25 * in.g[i];
      z[i] = 2.0 * in.w[i] - 0.5 * in.g[i];
    }
    ExpectClose(out[0], y, 1e-6);
    ExpectClose(out[1], z, 1e-6);
  }
}

}  // namespace
}  // namespace lockstep::kernels::cuda_update_test
