// A product of training's passes that our own kernel or cuBLASLt may do: what DeviceProducts tries both on,
// whichever product it is. Its buffers are those of the operation that came first with this shape.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "kernels/cublas/lt_product.h"
#include "kernels/cuda/hash.h"
#include "kernels/cuda/launched.h"
#include "kernels/cuda/round.h"
#include "kernels/cuda/runtime.h"
#include "worker/engine/device/arena.h"
#include "worker/engine/device/device_op.h"

namespace lockstep::engine {

// c (m, n) = a * b, of one logical shard.
struct ShardProduct {
  kernels::GemmType type = kernels::GemmType::kFp32;
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false;  // a is (k, m)
  bool b_transposed = false;  // b is (n, k)
  bool add = false;

  bool bf16() const { return type == kernels::GemmType::kBf16; }
  bool WorthIt(const kernels::LtLibrary& library) const {
    const double work = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    return m > 0 && n > 0 && k > 0 && work >= library.least_work;
  }
};

class LibraryProduct {
 public:
  // `context` outlives it.
  LibraryProduct(const kernels::LtContext& context, const ShardProduct& product, int shards, float* scratch)
      : context_(context), product_(product), shards_(shards), scratch_(scratch) {}
  virtual ~LibraryProduct() = default;
  LibraryProduct(const LibraryProduct&) = delete;

  // Plans; once.
  virtual absl::Status Plan() = 0;
  // A shard's call, and, where there is such a thing, one for all shards.
  const kernels::LtProduct& one() const { return *one_; }
  const kernels::LtProduct* all() const { return all_.get(); }
  bool planned() const { return one_ != nullptr; }

  // Trials. `pass` is one of training, of whole shards. Operands from -1 to 1, the same on every rank; then
  // the product of them by our own kernel, or by the library as it is Set.
  virtual absl::Status Fill(const DevicePass& pass, const kernels::DeviceStream& stream) const = 0;
  virtual absl::Status TryOwn(const DevicePass& pass) const = 0;
  virtual absl::Status Try(const DevicePass& pass) const = 0;
  struct Result {
    float* data = nullptr;
    int64_t count = 0;
  };
  virtual Result ResultOf(const DevicePass& pass) const = 0;
  virtual uint64_t* hash() const = 0;  // (1 + kernels::cuda::kHashPartials)

  // What passes use from here on; none: our own kernel. `at_once`: all().
  void Set(const std::optional<kernels::LtAlgorithm>& algorithm, bool at_once) {
    algorithm_ = algorithm;
    at_once_ = at_once;
  }
  bool by_library() const { return algorithm_.has_value(); }

 protected:
  kernels::Launched Report(const absl::Status& status) {
    if (status.ok()) return {};
    failure_ = std::string(status.message());
    return {kernels::Launched::kByLibrary, failure_.c_str()};
  }

  const kernels::LtContext& context_;
  const ShardProduct product_;
  const int shards_;
  float* const scratch_;
  std::unique_ptr<kernels::LtProduct> one_, all_;
  std::optional<kernels::LtAlgorithm> algorithm_;
  bool at_once_ = false;

 private:
  std::string failure_;  // what Launched::what points to
};

// What lies in a product's scratch, which itself is aligned to 64 bytes alone.
class ProductLayout {
 public:
  explicit ProductLayout(const kernels::LtLibrary& library)
      : workspace_(layout_.Add(library.workspace)),
        hash_(layout_.Add((1 + kernels::cuda::kHashPartials) * int64_t{sizeof(uint64_t)})) {}
  int64_t Add(int64_t bytes) { return layout_.Add(bytes); }
  int64_t floats() const { return (layout_.total() + kernels::LtProduct::kAlignedWorkspace) / 4; }

  template <class T>
  static T* At(float* scratch, int64_t offset) {
    constexpr uintptr_t kTo = kernels::LtProduct::kAlignedWorkspace;
    const auto address = (reinterpret_cast<uintptr_t>(scratch) + kTo - 1) / kTo * kTo;
    return reinterpret_cast<T*>(address + static_cast<uintptr_t>(offset));
  }
  void* workspace(float* scratch) const { return At<void>(scratch, workspace_); }
  uint64_t* hash(float* scratch) const { return At<uint64_t>(scratch, hash_); }

 private:
  DeviceLayout layout_;
  const int64_t workspace_, hash_;
};

// (count) numbers from -1 to 1, the same on every rank. They repeat after a prime number of them, so that no
// shard's operand is another's.
absl::Status FillWithTrialNumbers(int64_t count, float* to, const kernels::DeviceStream& stream);

}  // namespace lockstep::engine
