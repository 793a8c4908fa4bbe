#include "kernels/cuda/activation.h"
#include "kernels/cuda/pack.h"

namespace lockstep::kernels::cuda {
namespace {

constexpr float kRootTwoOverPi = 0.79788456080286536f;
constexpr float kCubic = 0.044715f;

template <Activation kF>
__device__ float Value(float z) {
  if constexpr (kF == Activation::kRelu) return z < 0.0f ? 0.0f : z;
  if constexpr (kF == Activation::kTanh) return tanhf(z);
  if constexpr (kF == Activation::kSigmoid) return 1.0f / (1.0f + expf(-z));
  if constexpr (kF == Activation::kGelu) {
    return 0.5f * z * (1.0f + tanhf(kRootTwoOverPi * (z + kCubic * z * z * z)));
  }
  if constexpr (kF == Activation::kSilu) return z / (1.0f + expf(-z));
  return z;
}

// Of the saved value: z for GELU and SiLU, y for the others.
template <Activation kF>
__device__ float Slope(float saved) {
  if constexpr (kF == Activation::kRelu) return saved > 0.0f ? 1.0f : 0.0f;
  if constexpr (kF == Activation::kTanh) return 1.0f - saved * saved;
  if constexpr (kF == Activation::kSigmoid) return saved * (1.0f - saved);
  if constexpr (kF == Activation::kGelu) {
    const float t = tanhf(kRootTwoOverPi * (saved + kCubic * saved * saved * saved));
    return 0.5f * (1.0f + t) +
           0.5f * saved * (1.0f - t * t) * kRootTwoOverPi * (1.0f + 3.0f * kCubic * saved * saved);
  }
  if constexpr (kF == Activation::kSilu) {
    const float s = 1.0f / (1.0f + expf(-saved));
    return s + saved * s * (1.0f - s);
  }
  return 1.0f;
}

template <Activation kF>
__global__ void BiasActivationKernel(int64_t count, int64_t width, bool four, const float* bias, float* x,
                                     float* y) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    auto z = Load<pack.kFloats>(x + at);
    if (bias != nullptr) {
      const auto b = Load<pack.kFloats>(bias + at % width);
      for (int k = 0; k < pack.kFloats; ++k) z[k] += b[k];
    }
    Store(x + at, z);
    for (int k = 0; k < pack.kFloats; ++k) z[k] = Value<kF>(z[k]);
    Store(y + at, z);  // after x: y may be x
  });
}

template <Activation kF>
__global__ void ActivationBackwardKernel(int64_t count, bool four, const float* saved, const float* dy,
                                         float* dx) {
  ForPacks(count, four, [=](auto pack, int64_t at) {
    const auto of = Load<pack.kFloats>(saved + at);
    auto d = Load<pack.kFloats>(dy + at);
    for (int k = 0; k < pack.kFloats; ++k) d[k] *= Slope<kF>(of[k]);
    Store(dx + at, d);
  });
}

template <Activation kF>
struct Constant {
  static constexpr Activation value = kF;
};

// What `launch` returns when called with the activation as a constant.
template <typename Call>
Launched WithConstant(Activation f, const Call& launch) {
  switch (f) {
    case Activation::kIdentity:
      return launch(Constant<Activation::kIdentity>());
    case Activation::kRelu:
      return launch(Constant<Activation::kRelu>());
    case Activation::kTanh:
      return launch(Constant<Activation::kTanh>());
    case Activation::kSigmoid:
      return launch(Constant<Activation::kSigmoid>());
    case Activation::kGelu:
      return launch(Constant<Activation::kGelu>());
    case Activation::kSilu:
      return launch(Constant<Activation::kSilu>());
  }
  return {};
}

}  // namespace

Launched BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x,
                               float* y, Stream stream) {
  const int64_t count = rows * width;
  if (count == 0) return {};
  const bool four = width % 4 == 0 && FourAtATime(bias, x, y);  // a pack stays within its row
  return WithConstant(f, [&](auto constant) {
    return Launch<BiasActivationKernel<decltype(constant)::value>>(
        {"BiasActivationForward", PackBlocks(count), kThreads, stream}, count, width, four, bias, x, y);
  });
}

Launched ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx,
                            Stream stream) {
  if (count == 0) return {};
  return WithConstant(f, [&](auto constant) {
    return Launch<ActivationBackwardKernel<decltype(constant)::value>>(
        {"ActivationBackward", PackBlocks(count), kThreads, stream}, count, FourAtATime(saved, dy, dx), saved,
        dy, dx);
  });
}

}  // namespace lockstep::kernels::cuda
