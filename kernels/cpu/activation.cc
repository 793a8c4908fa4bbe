#include "kernels/activation.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

constexpr float kRootTwoOverPi = 0.79788456080286536f;
constexpr float kCubic = 0.044715f;

struct Identity {
  static float Value(float z) { return z; }
  static float Slope(float) { return 1.0f; }
};
struct Relu {
  static float Value(float z) { return z < 0.0f ? 0.0f : z; }  // NaN stays NaN
  static float Slope(float y) { return y > 0.0f ? 1.0f : 0.0f; }
};
struct HyperbolicTangent {
  static float Value(float z) { return Tanh(z); }
  static float Slope(float y) { return 1.0f - y * y; }
};
struct Logistic {
  static float Value(float z) { return Sigmoid(z); }
  static float Slope(float y) { return y * (1.0f - y); }
};
// z (1 + tanh(u)) / 2 = z sigmoid(2 u): one exponential, and no cancellation where tanh nears -1.
struct Gelu {
  static float Gate(float z) { return Sigmoid(2.0f * kRootTwoOverPi * (z + kCubic * z * z * z)); }
  static float Value(float z) { return z * Gate(z); }
  static float Slope(float z) { return Slope(z, Gate(z)); }
  static float Slope(float z, float s) {
    return s + z * (s * (1.0f - s)) * (2.0f * kRootTwoOverPi * (1.0f + 3.0f * kCubic * z * z));
  }
};

struct Silu {
  static float Gate(float z) { return Sigmoid(z); }
  static float Value(float z) { return z * Gate(z); }
  static float Slope(float z) { return Slope(z, Gate(z)); }
  static float Slope(float z, float s) { return s + z * s * (1.0f - s); }
};

template <class F, bool kBias>
void Forward(int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    float* z = x + r * width;
    float* out = y + r * width;
    for (int64_t c = 0; c < width; ++c) {
      const float value = kBias ? z[c] + bias[c] : z[c];
      z[c] = value;
      out[c] = F::Value(value);
    }
  }
}

// The output takes the place of the input: one pointer, so that the compiler sees no overlap.
template <class F, bool kBias>
void ForwardInPlace(int64_t rows, int64_t width, const float* __restrict bias, float* x) {
  for (int64_t r = 0; r < rows; ++r) {
    float* __restrict z = x + r * width;
    for (int64_t c = 0; c < width; ++c) z[c] = F::Value(kBias ? z[c] + bias[c] : z[c]);
  }
}

template <class F>
void ForwardAny(int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  if (bias == nullptr)
    return x == y ? ForwardInPlace<F, false>(rows, width, bias, x)
                  : Forward<F, false>(rows, width, bias, x, y);
  if (x == y) return ForwardInPlace<F, true>(rows, width, bias, x);
  Forward<F, true>(rows, width, bias, x, y);
}

template <class F>
void ForwardSlopes(int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    float* z = x + r * width;
    float* out = y + r * width;
    for (int64_t c = 0; c < width; ++c) {
      const float value = bias != nullptr ? z[c] + bias[c] : z[c];
      const float gate = F::Gate(value);
      out[c] = value * gate;
      z[c] = F::Slope(value, gate);
    }
  }
}

template <class F>
void Backward(int64_t count, const float* saved, const float* dy, float* dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * F::Slope(saved[i]);
}

}  // namespace

void BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  switch (f) {
    case Activation::kIdentity:
      return ForwardAny<Identity>(rows, width, bias, x, y);
    case Activation::kRelu:
      return ForwardAny<Relu>(rows, width, bias, x, y);
    case Activation::kTanh:
      return ForwardAny<HyperbolicTangent>(rows, width, bias, x, y);
    case Activation::kSigmoid:
      return ForwardAny<Logistic>(rows, width, bias, x, y);
    case Activation::kGelu:
      return ForwardAny<Gelu>(rows, width, bias, x, y);
    case Activation::kSilu:
      return ForwardAny<Silu>(rows, width, bias, x, y);
  }
}

void BiasActivationSlopes(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  f == Activation::kGelu ? ForwardSlopes<Gelu>(rows, width, bias, x, y)
                         : ForwardSlopes<Silu>(rows, width, bias, x, y);
}

void SlopesBackward(int64_t count, const float* slopes, const float* dy, float* dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * slopes[i];
}

void ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx) {
  switch (f) {
    case Activation::kIdentity:
      return Backward<Identity>(count, saved, dy, dx);
    case Activation::kRelu:
      return Backward<Relu>(count, saved, dy, dx);
    case Activation::kTanh:
      return Backward<HyperbolicTangent>(count, saved, dy, dx);
    case Activation::kSigmoid:
      return Backward<Logistic>(count, saved, dy, dx);
    case Activation::kGelu:
      return Backward<Gelu>(count, saved, dy, dx);
    case Activation::kSilu:
      return Backward<Silu>(count, saved, dy, dx);
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
