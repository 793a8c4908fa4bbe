#include "kernels/cuda/activation.h"
#include "kernels/cuda/launch.h"

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
__global__ void ForwardKernel(int64_t count, int64_t width, const float* bias, float* x, float* y) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) {
    const float z = x[i] + bias[i % width];
    x[i] = z;
    y[i] = Value<kF>(z);  // after x: y may be x
  }
}

template <Activation kF>
__global__ void BackwardKernel(int64_t count, const float* saved, const float* dy, float* dx) {
  for (int64_t i = FirstItem(); i < count; i += ItemStride()) dx[i] = dy[i] * Slope<kF>(saved[i]);
}

template <Activation kF>
struct Constant {
  static constexpr Activation value = kF;
};

// Calls `launch` with the activation as a constant.
template <typename Launch>
void WithConstant(Activation f, Launch launch) {
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
}

}  // namespace

Launched BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x,
                               float* y, Stream stream) {
  const int64_t count = rows * width;
  if (count == 0) return {};
  WithConstant(f, [&](auto constant) {
    ForwardKernel<decltype(constant)::value>
        <<<Blocks(count), kThreads, 0, stream>>>(count, width, bias, x, y);
  });
  return LastLaunch("BiasActivationForward");
}

Launched ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx,
                            Stream stream) {
  if (count == 0) return {};
  WithConstant(f, [&](auto constant) {
    BackwardKernel<decltype(constant)::value><<<Blocks(count), kThreads, 0, stream>>>(count, saved, dy, dx);
  });
  return LastLaunch("ActivationBackward");
}

}  // namespace lockstep::kernels::cuda
