#include "worker/engine/device/row_product.h"

#include "kernels/cuda/gemm.h"

namespace lockstep::engine {

using kernels::GemmArguments;
using kernels::ToStatus;

RowProduct::Layout::Layout(const ShardProduct& product, int64_t shards, const kernels::LtLibrary& library)
    : ProductLayout(library),
      a(Add(product.bf16() ? shards * product.m * product.k * 2 : 0)),
      b(Add(product.bf16() ? product.n * product.k * 2 : 0)) {}

RowProduct::RowProduct(const kernels::LtContext& context, const ShardProduct& product, int shards,
                       float* scratch, float* a, int64_t weight, float* c)
    : LibraryProduct(context, product, shards, scratch),
      layout_(product, shards, context.library()),
      a_(a),
      weight_(weight),
      c_(c) {}

int64_t RowProduct::Scratch(const ShardProduct& product, const Extent& extent) {
  if (extent.products == nullptr || !product.WorthIt(*extent.products)) return 0;
  return Layout(product, extent.rows / extent.rows_per_shard, *extent.products).floats();
}

absl::Status RowProduct::Plan() {
  kernels::LtShape shape;
  shape.type = product_.type;
  shape.m = product_.m, shape.n = product_.n, shape.k = product_.k;
  shape.b_transposed = product_.b_transposed;
  shape.add = product_.add;
  shape.a_stride = product_.m * product_.k, shape.c_stride = product_.m * product_.n;
  ASSIGN_OR_RETURN(one_, kernels::LtProduct::Make(context_, shape));
  shape.batch = shards_;
  ASSIGN_OR_RETURN(all_, kernels::LtProduct::Make(context_, shape));
  return absl::OkStatus();
}

absl::Status RowProduct::Fill(const DevicePass& pass, const kernels::DeviceStream& stream) const {
  const Result result = ResultOf(pass);
  RETURN_IF_ERROR(FillWithTrialNumbers(shards_ * product_.m * product_.k, a_, stream));
  return stream.Zero(result.data, static_cast<size_t>(result.count) * sizeof(float));
}

GemmArguments RowProduct::Trial(const DevicePass& pass) const {
  const int64_t n = product_.n, k = product_.k;
  const bool transposed = product_.b_transposed;
  return {shards_ * product_.m, n,          k,  a_, k,           pass.weights + weight_,
          transposed ? k : n,   transposed, c_, n,  product_.add};
}

absl::Status RowProduct::TryOwn(const DevicePass& pass) const {
  return ToStatus(kernels::cuda::Gemm(product_.type, Trial(pass), pass.stream));
}
absl::Status RowProduct::Try(const DevicePass& pass) const { return Multiply(Trial(pass), pass.stream); }

LibraryProduct::Result RowProduct::ResultOf(const DevicePass&) const {
  return {c_, shards_ * product_.m * product_.n};
}

absl::Status RowProduct::Multiply(const GemmArguments& arguments, kernels::Stream stream) const {
  const ShardProduct& p = product_;
  const void* a = arguments.a;
  const void* b = arguments.b;
  if (p.bf16()) {
    auto* const rounded = ProductLayout::At<uint16_t>(scratch_, layout_.a);
    RETURN_IF_ERROR(ToStatus(kernels::cuda::RoundToBf16(shards_ * p.m * p.k, arguments.a, rounded, stream)));
    a = rounded;
    b = arguments.b_rounded;
    if (b == nullptr) {
      auto* const weight = ProductLayout::At<uint16_t>(scratch_, layout_.b);
      RETURN_IF_ERROR(ToStatus(kernels::cuda::RoundToBf16(p.n * p.k, arguments.b, weight, stream)));
      b = weight;
    }
  }
  void* const workspace = layout_.workspace(scratch_);
  if (at_once_) return all_->Run(*algorithm_, a, b, arguments.c, workspace, stream);
  const int64_t bytes_of_a = p.m * p.k * (p.bf16() ? 2 : 4);
  for (int64_t s = 0; s < shards_; ++s) {
    RETURN_IF_ERROR(one_->Run(*algorithm_, static_cast<const char*>(a) + s * bytes_of_a, b,
                              arguments.c + s * p.m * p.n, workspace, stream));
  }
  return absl::OkStatus();
}

kernels::Launched Multiply(RowProduct* product, kernels::GemmType type, const DevicePass& pass,
                           const GemmArguments& arguments) {
  // Only training's passes come in whole shards, and validation's bits are not to depend on the choice.
  if (product != nullptr && product->by_library() && pass.training) {
    return product->Run(arguments, pass.stream);
  }
  return kernels::cuda::Gemm(type, arguments, pass.stream);
}

}  // namespace lockstep::engine
