// The memory of the device that a test's kernels run on: a GPU (device_for_test.cc) or the emulation
// (kernels/emulation/device_for_test.cc), so that one test serves both.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/cuda/launched.h"

namespace lockstep::kernels {

// Why there is no device to test on; empty when there is one.
std::string WhyNoDevice();

// The emulation runs threads and blocks in the order that `seed` draws from here on; a GPU has its own.
void ReorderThreads(uint64_t seed);
// How often a test repeats what must have the same bits each time: the emulation draws an order for each, a
// GPU has many of its own.
uint64_t Repeats();

// Bytes on the device between guard bands. Null `initial`: filled with NaN, which nobody wrote.
class DeviceBytes {
 public:
  DeviceBytes(size_t size, const void* initial);
  ~DeviceBytes();
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void* data() const { return data_; }
  // Waits for what is queued. False if a guard band was written to.
  [[nodiscard]] bool Read(void* to) const;

 private:
  size_t size_;
  void* data_ = nullptr;
};

template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& host)
      : count_(host.size()), bytes_(count_ * sizeof(T), host.data()) {}
  explicit OnDevice(size_t count) : count_(count), bytes_(count * sizeof(T), nullptr) {}  // poisoned
  T* get() const { return static_cast<T*>(bytes_.data()); }
  std::vector<T> Fetch() const {
    std::vector<T> host(count_);
    EXPECT_TRUE(bytes_.Read(host.data())) << "a kernel wrote beside its buffer";
    return host;
  }

 private:
  size_t count_;
  DeviceBytes bytes_;
};

class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
};

#define EXPECT_LAUNCHED(launch)                                                      \
  do {                                                                               \
    const ::lockstep::kernels::Launched launched_here = (launch);                    \
    EXPECT_TRUE(launched_here.ok()) << ::lockstep::kernels::ToStatus(launched_here); \
  } while (false)

using Outputs = std::vector<std::vector<float>>;

// What `run` returns, which must have the same bits whatever the order of the threads.
template <class Run>
Outputs InAnyOrder(const Run& run) {
  const Outputs first = run();
  for (uint64_t seed = 1; seed <= Repeats(); ++seed) {
    ReorderThreads(seed);
    const Outputs again = run();
    EXPECT_EQ(first.size(), again.size());
    for (size_t i = 0; i < first.size() && i < again.size(); ++i) {
      EXPECT_EQ(first[i].size(), again[i].size());
      EXPECT_EQ(0, std::memcmp(first[i].data(), again[i].data(), first[i].size() * sizeof(float)))
          << "output " << i << " has other bits in order " << seed;
    }
  }
  return first;
}

// |a - b| <= tolerance * (1 + |b|), and no NaN where `expected` has none.
template <class T>
void ExpectClose(const std::vector<float>& actual, const std::vector<T>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(static_cast<double>(expected[i]))))
        << "at " << i;
  }
}

}  // namespace lockstep::kernels
