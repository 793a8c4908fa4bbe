#include "kernels/cuda/device_for_test.h"

#include <cuda_runtime_api.h>

#include <cstdlib>

namespace lockstep::kernels {
namespace {

constexpr size_t kGuard = 512;
constexpr int kPoison = 0xff;

}  // namespace

std::string WhyNoDevice() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return "";
  return std::string("no CUDA device: ") + cudaGetErrorString(error);
}

void ReorderThreads(uint64_t) {}
uint64_t Repeats() {
  const char* const fewer = std::getenv("LOCKSTEP_TEST_REPEATS");  // tests/gpu-sanitizers
  return fewer != nullptr ? static_cast<uint64_t>(std::atoi(fewer)) : 99;
}

DeviceBytes::DeviceBytes(size_t size, const void* initial) : size_(size) {
  void* whole = nullptr;
  EXPECT_EQ(cudaMalloc(&whole, size + 2 * kGuard), cudaSuccess);
  EXPECT_EQ(cudaMemset(whole, kPoison, size + 2 * kGuard), cudaSuccess);
  data_ = static_cast<char*>(whole) + kGuard;
  if (initial == nullptr) return;
  EXPECT_EQ(cudaMemcpy(data_, initial, size, cudaMemcpyHostToDevice), cudaSuccess);
}

DeviceBytes::~DeviceBytes() { cudaFree(static_cast<char*>(data_) - kGuard); }

bool DeviceBytes::Read(void* to) const {
  std::vector<unsigned char> whole(size_ + 2 * kGuard);
  EXPECT_EQ(
      cudaMemcpy(whole.data(), static_cast<char*>(data_) - kGuard, whole.size(), cudaMemcpyDeviceToHost),
      cudaSuccess);
  if (size_ > 0) std::memcpy(to, whole.data() + kGuard, size_);
  for (size_t i = 0; i < kGuard; ++i) {
    if (whole[i] != kPoison || whole[kGuard + size_ + i] != kPoison) return false;
  }
  return true;
}

}  // namespace lockstep::kernels
