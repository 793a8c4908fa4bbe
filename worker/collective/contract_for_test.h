// What the tests of the contract run over: Gloo, or NCCL's stand-in with buffers on the stand-in's device.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "worker/collective/backends.h"
#include "worker/collective/collective.h"
#include "worker/collective/stand_in/device.h"
#include "worker/collective/stand_in/nccl.h"

namespace lockstep {

enum class Kind { kGloo, kNccl };

inline std::string NameOf(Kind kind) { return kind == Kind::kGloo ? "Gloo" : "Nccl"; }

inline absl::StatusOr<std::unique_ptr<Collective>> MakeForTest(Kind kind, CollectiveOptions options,
                                                               const ExchangeAddresses& exchange) {
  if (kind == Kind::kGloo || options.rank < 0 || options.rank >= options.world ||
      options.shards < options.world) {
    return MakeCollective(options, exchange);  // whose check of the options is for both
  }
  options.memory = CollectiveOptions::Memory::kDevice;
  if (options.world == 1) return MakeSingle(options, stand_in::Device());
  return MakeNccl(options, exchange, stand_in::Nccl(), stand_in::Device());
}

// Where the kind's sums are.
template <class T>
class Buffer {
 public:
  Buffer(Kind kind, size_t size, T value = T()) : size_(size) {
    const size_t bytes = size * sizeof(T);
    if (kind == Kind::kNccl) {
      on_device_ = *stand_in::Device()->Allocate(bytes);
      data_ = static_cast<T*>(on_device_);
    } else {
      on_host_ = std::make_unique<T[]>(size);
      data_ = on_host_.get();
    }
    std::fill_n(data_, size, value);
  }
  ~Buffer() {
    if (on_device_ != nullptr) stand_in::Device()->Free(on_device_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  size_t size() const { return size_; }

 private:
  const size_t size_;
  std::unique_ptr<T[]> on_host_;
  void* on_device_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace lockstep
