#include "kernels/update.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/adagrad.h"
#include "kernels/combine.h"
#include "kernels/lerp.h"
#include "kernels/lion.h"
#include "kernels/rmsprop.h"
#include "kernels/test_support.h"
#include "kernels/tree_add.h"

namespace lockstep::kernels {
namespace {

double Clipped(const Clip& clip, double g) {
  const double scaled = g * clip.scale;
  return clip.limit > 0 ? std::clamp<double>(scaled, -double{clip.limit}, clip.limit) : scaled;
}

TEST(AdamUpdate, DiffersFromFloat64OverManySteps) {
  const int count = 1003;
  std::vector<float> w = Random(count, -1, 1, 1), m(count), v(count);
  std::vector<double> w64(w.begin(), w.end()), m64(count), v64(count);
  const double beta1 = 0.9, beta2 = 0.999, rate = 1e-2, epsilon = 1e-8, decay = 0.02;
  const Clip clip{0.5f, 0.3f};
  for (const bool decoupled : {true, false}) {
    for (int t = 1; t <= 20; ++t) {
      const std::vector<float> g = Random(count, -1, 1, 100 + t);
      AdamStep step;
      step.beta1 = static_cast<float>(beta1);
      step.beta2 = static_cast<float>(beta2);
      step.rate1 = static_cast<float>(rate / (1 - std::pow(beta1, t)));
      step.root2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t)));
      step.epsilon = static_cast<float>(epsilon);
      step.decay = decoupled ? 0.0f : static_cast<float>(decay);
      step.keep = decoupled ? static_cast<float>(1 - rate * decay) : 1.0f;
      cpu::AdamUpdate(step, clip, count, g.data(), m.data(), v.data(), w.data());
      for (int i = 0; i < count; ++i) {
        const double gi = Clipped(clip, g[i]) + (decoupled ? 0 : decay * w64[i]);
        m64[i] = beta1 * m64[i] + (1 - beta1) * gi;
        v64[i] = beta2 * v64[i] + (1 - beta2) * gi * gi;
        if (decoupled) w64[i] *= 1 - rate * decay;
        w64[i] -= rate / (1 - std::pow(beta1, t)) * m64[i] /
                  (std::sqrt(v64[i]) / std::sqrt(1 - std::pow(beta2, t)) + epsilon);
      }
    }
    for (int i = 0; i < count; ++i) EXPECT_NEAR(w[i], w64[i], 2e-5) << i;
  }
}

TEST(SgdUpdate, DiffersFromFloat64OverManySteps) {
  const int count = 77;
  for (const double momentum : {0.0, 0.9}) {
    for (const bool nesterov : {false, true}) {
      std::vector<float> w = Random(count, -1, 1, 1), b(count);
      std::vector<double> w64(w.begin(), w.end()), b64(count);
      const SgdStep step{0.05f, static_cast<float>(momentum), nesterov, 0.01f};
      for (int t = 0; t < 10; ++t) {
        const std::vector<float> g = Random(count, -1, 1, 50 + t);
        cpu::SgdUpdate(step, {}, count, g.data(), b.data(), w.data());
        for (int i = 0; i < count; ++i) {
          const double gi = g[i] + 0.01 * w64[i];
          b64[i] = momentum * b64[i] + gi;
          w64[i] -= 0.05 * (nesterov ? gi + momentum * b64[i] : b64[i]);
        }
      }
      for (int i = 0; i < count; ++i) EXPECT_NEAR(w[i], w64[i], 1e-5);
    }
  }
}

TEST(AdagradUpdate, DiffersFromFloat64OverManySteps) {
  const int count = 77;
  std::vector<float> w = Random(count, -1, 1, 1), sums(count);
  std::vector<double> w64(w.begin(), w.end()), sums64(count);
  for (int t = 0; t < 10; ++t) {
    const std::vector<float> g = Random(count, -1, 1, 50 + t);
    cpu::AdagradUpdate({0.05f, 1e-10f, 0.01f}, {0.5f, 0.3f}, count, g.data(), sums.data(), w.data());
    for (int i = 0; i < count; ++i) {
      const double gi = Clipped({0.5f, 0.3f}, g[i]) + 0.01 * w64[i];
      sums64[i] += gi * gi;
      w64[i] -= 0.05 * gi / (std::sqrt(sums64[i]) + 1e-10);
    }
  }
  for (int i = 0; i < count; ++i) EXPECT_NEAR(w[i], w64[i], 1e-5);
}

TEST(RmsPropUpdate, DiffersFromFloat64OverManySteps) {
  const int count = 77;
  for (const double momentum : {0.0, 0.9}) {
    std::vector<float> w = Random(count, -1, 1, 1), v(count), b(count);
    std::vector<double> w64(w.begin(), w.end()), v64(count), b64(count);
    const RmsPropStep step{0.01f, 0.99f, 1e-8f, static_cast<float>(momentum), 0.01f};
    for (int t = 0; t < 10; ++t) {
      const std::vector<float> g = Random(count, -1, 1, 50 + t);
      cpu::RmsPropUpdate(step, {0.5f, 0.3f}, count, g.data(), v.data(), momentum > 0 ? b.data() : nullptr,
                         w.data());
      for (int i = 0; i < count; ++i) {
        const double gi = Clipped({0.5f, 0.3f}, g[i]) + 0.01 * w64[i];
        v64[i] = 0.99 * v64[i] + 0.01 * gi * gi;
        b64[i] = momentum * b64[i] + gi / (std::sqrt(v64[i]) + 1e-8);
        w64[i] -= 0.01 * b64[i];
      }
    }
    for (int i = 0; i < count; ++i) EXPECT_NEAR(w[i], w64[i], 2e-5);
  }
}

TEST(LionUpdate, DiffersFromFloat64OverManySteps) {
  const int count = 77;
  std::vector<float> w = Random(count, -1, 1, 1), m(count);
  std::vector<double> w64(w.begin(), w.end()), m64(count);
  for (int t = 0; t < 10; ++t) {
    std::vector<float> g = Random(count, -1, 1, 50 + t);
    g[3] = 0;  // the sign of nothing moves nothing
    cpu::LionUpdate({0.01f, 0.9f, 0.99f, 0.999f}, {0.5f, 0.3f}, count, g.data(), m.data(), w.data());
    for (int i = 0; i < count; ++i) {
      const double gi = Clipped({0.5f, 0.3f}, g[i]), direction = 0.9 * m64[i] + 0.1 * gi;
      w64[i] = w64[i] * 0.999 - 0.01 * (direction > 0 ? 1 : direction < 0 ? -1 : 0);
      m64[i] = 0.99 * m64[i] + 0.01 * gi;
    }
  }
  for (int i = 0; i < count; ++i) EXPECT_NEAR(w[i], w64[i], 1e-5);
}

TEST(Updates, BitsDependOnWhereARunIsCut) {
  const int count = 131;
  const std::vector<float> g = Random(count, -1, 1, 5), start = Random(count, -1, 1, 1);
  const auto run = [&](const std::vector<int>& cuts) {
    std::vector<float> all;
    for (int kind = 0; kind < 5; ++kind) {
      std::vector<float> w = start, a(count), b(count);
      for (int t = 0; t < 3; ++t) {
        for (size_t c = 0; c + 1 < cuts.size(); ++c) {
          const int at = cuts[c], n = cuts[c + 1] - at;
          const float* gp = g.data() + at;
          float *wp = w.data() + at, *ap = a.data() + at, *bp = b.data() + at;
          if (kind == 0) cpu::AdamUpdate({0.9f, 0.99f, 0.1f, 1, 1e-8f, 0.1f, 0.9f}, {}, n, gp, ap, bp, wp);
          if (kind == 1) cpu::AdagradUpdate({0.1f, 1e-10f, 0.1f}, {}, n, gp, ap, wp);
          if (kind == 2) cpu::RmsPropUpdate({0.1f, 0.9f, 1e-8f, 0.9f, 0.1f}, {}, n, gp, ap, bp, wp);
          if (kind == 3) cpu::LionUpdate({0.1f, 0.9f, 0.99f, 0.9f}, {}, n, gp, ap, wp);
          if (kind == 4) cpu::SgdUpdate({0.1f, 0.9f, true, 0.1f}, {}, n, gp, ap, wp);
        }
      }
      all.insert(all.end(), w.begin(), w.end());
    }
    return all;
  };
  EXPECT_EQ(run({0, count}), run({0, 1, 18, 64, 100, count}));
}

TEST(Lerp, DiffersFromFloat64) {
  for (const int count : {1, 16, 1003}) {
    const std::vector<float> x = Random(count, -1, 1, 1), start = Random(count, -1, 1, 2);
    std::vector<float> y = start, z = start;
    cpu::Lerp(count, 0.25f, x.data(), y.data());
    cpu::Combine(count, -0.5f, x.data(), 2.0f, z.data());
    for (int i = 0; i < count; ++i) {
      EXPECT_NEAR(y[i], 0.75 * start[i] + 0.25 * x[i], 1e-6);
      EXPECT_NEAR(z[i], -0.5 * x[i] + 2.0 * start[i], 1e-6);
    }
  }
}

TEST(Regularize, DiffersFromFloat64) {
  for (const int count : {1, 15, 16, 1003}) {
    const std::vector<float> w = Random(count, -1, 1, 1), g = Random(count, -1, 1, 2);
    std::vector<float> work = g;
    const double squares = cpu::Regularize(count, 0.5f, 0.25f, w.data(), work.data());
    double expected = 0;
    for (int i = 0; i < count; ++i) {
      const double gi = g[i] + 0.5 * (w[i] > 0 ? 1 : -1) + 0.25 * w[i];
      EXPECT_NEAR(work[i], gi, 1e-6);
      expected += gi * gi;
    }
    EXPECT_NEAR(squares, expected, 1e-5 * count);
  }
}

TEST(Regularize, NonFiniteElementIsMissed) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (int at = 0; at < 37; ++at) {
      std::vector<float> g(37, 1.0f);
      const std::vector<float> w(37, 1.0f);
      g[at] = bad;
      EXPECT_FALSE(std::isfinite(cpu::Regularize(37, 0, 0, w.data(), g.data())));
    }
  }
}

TEST(Regularize, LargeFiniteGradientOverflows) {
  std::vector<float> g(100, 3e38f);
  EXPECT_TRUE(std::isfinite(cpu::Regularize(100, 0, 0, g.data(), g.data())));
}

TEST(TreeAddInto, IsNotAPlainSum) {
  for (const int count : {1, 16, 1003}) {
    const std::vector<float> source = Random(count, -1, 1, 1);
    std::vector<float> target = Random(count, -1, 1, 2), expected = target;
    for (int i = 0; i < count; ++i) expected[i] += source[i];
    cpu::TreeAddInto(count, source.data(), target.data());
    EXPECT_EQ(target, expected);
  }
}

}  // namespace
}  // namespace lockstep::kernels
