// A flat buffer of zeros that takes no memory until it is written: the state of frozen parameters costs
// nothing.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace lockstep::engine {

class ZeroedFloats {
 public:
  explicit ZeroedFloats(int64_t count) : memory_(Allocate(count)) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory_.get());
    data_ = reinterpret_cast<float*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  float* data() { return data_; }

 private:
  static constexpr uintptr_t kAlignment = 64;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  static void* Allocate(int64_t count) {
    void* memory = std::calloc(static_cast<size_t>(count) * sizeof(float) + kAlignment, 1);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  std::unique_ptr<void, Free> memory_;
  float* data_ = nullptr;
};

}  // namespace lockstep::engine
