// Rows by a weight: c (shards * m, n) = a (shards * m, k) * weight (k, n) [+ c]. A shard's product is that of
// its m rows, real or not.
#pragma once

#include "kernels/gemm.h"
#include "worker/engine/device/library_product.h"
#include "worker/engine/op.h"

namespace lockstep::engine {

class RowProduct final : public LibraryProduct {
 public:
  // `weight`: its offset in the flat buffer.
  RowProduct(const kernels::LtContext& context, const ShardProduct& product, int shards, float* scratch,
             float* a, int64_t weight, float* c);
  static int64_t Scratch(const ShardProduct& product, const Extent& extent);  // floats; 0: not worth it

  absl::Status Plan() override;
  absl::Status Fill(const DevicePass& pass, const kernels::DeviceStream& stream) const override;
  absl::Status TryOwn(const DevicePass& pass) const override;
  absl::Status Try(const DevicePass& pass) const override;
  Result ResultOf(const DevicePass& pass) const override;
  uint64_t* hash() const override { return layout_.hash(scratch_); }

  // kernels::cuda::Gemm of the product's shape, dense. REQUIRES: by_library
  kernels::Launched Run(const kernels::GemmArguments& arguments, kernels::Stream stream) {
    return Report(Multiply(arguments, stream));
  }

 private:
  struct Layout : ProductLayout {
    Layout(const ShardProduct& product, int64_t shards, const kernels::LtLibrary& library);
    int64_t a, b;  // in bfloat16
  };
  kernels::GemmArguments Trial(const DevicePass& pass) const;
  absl::Status Multiply(const kernels::GemmArguments& arguments, kernels::Stream stream) const;

  const Layout layout_;
  float* const a_;
  const int64_t weight_;
  float* const c_;
};

// kernels::cuda::Gemm, or `product` (null: none) where its shape is the pass's.
kernels::Launched Multiply(RowProduct* product, kernels::GemmType type, const DevicePass& pass,
                           const kernels::GemmArguments& arguments);

}  // namespace lockstep::engine
