// Each CUDA kernel against its CPU sibling, which is held against float64. Skipped where there is no device.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/dropout.h"
#include "kernels/cuda/tree_add.h"
#include "kernels/cuda/update.h"
#include "kernels/test_support.h"

namespace lockstep::kernels {
namespace {

// A copy of a vector on the device.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& host) : size_(host.size()) {
    EXPECT_EQ(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  T* get() const { return data_; }
  std::vector<T> Fetch() const {
    std::vector<T> host(size_);
    EXPECT_EQ(cudaMemcpy(host.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return host;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

class CudaKernels : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(error);
    }
  }
  static void ExpectNear(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << "at " << i;
    }
  }
};

TEST_F(CudaKernels, ActivationDiffersFromCpu) {
  const int rows = 37, width = 129;
  const std::vector<float> x = Random(rows * width, -8, 8, 1), bias = Random(width, -1, 1, 2);
  const std::vector<float> dy = Random(rows * width, -1, 1, 3);
  for (int f = 0; f <= 4; ++f) {
    const auto activation = static_cast<Activation>(f);
    std::vector<float> z = x, y(x.size()), dx(x.size());
    cpu::BiasActivationForward(activation, rows, width, bias.data(), z.data(), y.data());
    cpu::ActivationBackward(activation, rows * width, SavesInput(activation) ? z.data() : y.data(), dy.data(),
                            dx.data());
    const OnDevice<float> dev_x(x), dev_bias(bias), dev_y(y), dev_dy(dy);
    ASSERT_TRUE(cuda::BiasActivationForward(activation, rows, width, dev_bias.get(), dev_x.get(), dev_y.get(),
                                            nullptr)
                    .ok());
    ASSERT_TRUE(cuda::ActivationBackward(activation, rows * width,
                                         SavesInput(activation) ? dev_x.get() : dev_y.get(), dev_dy.get(),
                                         dev_dy.get(), nullptr)
                    .ok());
    ExpectNear(dev_x.Fetch(), z, 0);
    ExpectNear(dev_y.Fetch(), y, 1e-6);
    ExpectNear(dev_dy.Fetch(), dx, 1e-5);
  }
}

TEST_F(CudaKernels, DropoutMaskDiffersFromCpu) {
  const int rows = 37, width = 131;
  const std::vector<float> x = Random(rows * width, -1, 1, 1);
  std::vector<float> y(x.size()), dx(x.size());
  std::vector<uint8_t> mask(x.size());
  DropoutKey key;
  key.seed = 99;
  key.layer = 2;
  key.step = 12345;
  key.first_row = 7;
  cpu::DropoutForward(key, 0.3, rows, width, x.data(), y.data(), mask.data());
  cpu::DropoutBackward(0.3, rows * width, mask.data(), x.data(), dx.data());
  const OnDevice<float> dev_x(x), dev_y(x), dev_dx(x);
  const OnDevice<uint8_t> dev_mask(std::vector<uint8_t>(mask.size(), 9));
  ASSERT_TRUE(
      cuda::DropoutForward(key, 0.3, rows, width, dev_x.get(), dev_y.get(), dev_mask.get(), nullptr).ok());
  ASSERT_TRUE(
      cuda::DropoutBackward(0.3, rows * width, dev_mask.get(), dev_dx.get(), dev_dx.get(), nullptr).ok());
  EXPECT_EQ(dev_mask.Fetch(), mask);
  EXPECT_EQ(dev_y.Fetch(), y);
  EXPECT_EQ(dev_dx.Fetch(), dx);
}

TEST_F(CudaKernels, SoftmaxCrossEntropyDiffersFromCpu) {
  for (const int classes : {2, 10, 31, 33, 1000}) {
    const int rows = 77;
    const std::vector<float> logits = Random(rows * classes, -9, 9, classes);
    std::vector<int32_t> labels(rows);
    for (int r = 0; r < rows; ++r) labels[r] = r * 31 % classes;
    std::vector<float> work = logits, losses(rows), correct(rows);
    cpu::SoftmaxCrossEntropy(rows, classes, 0.25f, labels.data(), work.data(), losses.data(), correct.data());
    const OnDevice<float> dev_logits(logits), dev_losses(losses), dev_correct(losses);
    const OnDevice<int32_t> dev_labels(labels);
    ASSERT_TRUE(cuda::SoftmaxCrossEntropy(rows, classes, 0.25f, dev_labels.get(), dev_logits.get(),
                                          dev_losses.get(), dev_correct.get(), nullptr)
                    .ok());
    ExpectNear(dev_logits.Fetch(), work, 1e-6);
    ExpectNear(dev_losses.Fetch(), losses, 1e-5);
    EXPECT_EQ(dev_correct.Fetch(), correct);
  }
}

TEST_F(CudaKernels, UpdatesDifferFromCpu) {
  const int count = 100003;
  const std::vector<float> g = Random(count, -1, 1, 1), w = Random(count, -1, 1, 2),
                           m = Random(count, -1, 1, 3), v = Random(count, 0, 1, 4);
  const Clip clip{0.5f, 0.3f};
  const AdamStep adam{0.9f, 0.999f, 1e-2f, 1.5f, 1e-8f, 0.01f, 0.99f};
  std::vector<float> w1 = w, m1 = m, v1 = v;
  cpu::AdamUpdate(adam, clip, count, g.data(), m1.data(), v1.data(), w1.data());
  const OnDevice<float> dev_g(g), dev_w(w), dev_m(m), dev_v(v);
  ASSERT_TRUE(
      cuda::AdamUpdate(adam, clip, count, dev_g.get(), dev_m.get(), dev_v.get(), dev_w.get(), nullptr).ok());
  ExpectNear(dev_w.Fetch(), w1, 1e-5);
  ExpectNear(dev_m.Fetch(), m1, 1e-6);
  ExpectNear(dev_v.Fetch(), v1, 1e-6);
  for (const float momentum : {0.0f, 0.9f}) {
    for (const bool nesterov : {false, true}) {
      const SgdStep sgd{0.1f, momentum, nesterov, 0.01f};
      std::vector<float> w2 = w, b2 = m;
      cpu::SgdUpdate(sgd, clip, count, g.data(), b2.data(), w2.data());
      const OnDevice<float> dev_w2(w), dev_b2(m);
      ASSERT_TRUE(cuda::SgdUpdate(sgd, clip, count, dev_g.get(), dev_b2.get(), dev_w2.get(), nullptr).ok());
      ExpectNear(dev_w2.Fetch(), w2, 1e-6);
      ExpectNear(dev_b2.Fetch(), b2, 1e-6);
    }
  }
}

TEST_F(CudaKernels, TreeAddBitsDifferFromCpu) {
  const int count = 100003;
  const std::vector<float> source = Random(count, -1, 1, 1);
  std::vector<float> target = Random(count, -1, 1, 2);
  const OnDevice<float> dev_source(source), dev_target(target);
  cpu::TreeAddInto(count, source.data(), target.data());
  ASSERT_TRUE(cuda::TreeAddInto(count, dev_source.get(), dev_target.get(), nullptr).ok());
  EXPECT_EQ(dev_target.Fetch(), target);
}

}  // namespace
}  // namespace lockstep::kernels
