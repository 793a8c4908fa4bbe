// One shape of a matrix product by cuBLASLt, for one matrix or a batch of them:
//
//   c_i (m, n) = op(a_i) * op(b_i)  [+ c_i],  row-major, dense; op(a) is (m, k), op(b) is (k, n)
//
// c and the sums are float32. a and b are float32, multiplied as they are (never as TF32), or bfloat16. With
// `fixed_order` only algorithms that add up an element in one sequence are let in: no split of k whose parts
// are added in whatever order they come.
//
// What a plan allocates it allocates in Make; Run queues and returns. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "kernels/cublas/lt_api.h"
#include "kernels/gemm.h"

namespace lockstep::kernels {

struct LtShape {
  GemmType type = GemmType::kFp32;
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false;  // a is (k, m)
  bool b_transposed = false;  // b is (n, k)
  bool add = false;
  int batch = 1;
  int64_t a_stride = 0, b_stride = 0, c_stride = 0;  // elements from a matrix to the next
};

// cuBLASLt on the device that the calling thread uses.
class LtContext {
 public:
  static absl::StatusOr<LtContext> Make(const LtLibrary* library);
  const LtLibrary& library() const { return *library_; }
  cublasLtContext* get() const { return context_.get(); }

 private:
  struct Destroy {
    const LtLibrary* library;
    void operator()(cublasLtContext* context) const { (void)library->calls.Destroy(context); }
  };
  const LtLibrary* library_ = nullptr;
  std::unique_ptr<cublasLtContext, Destroy> context_;
};

class LtProduct {
 public:
  // Addresses of operands are multiples of this, in elements; so is a workspace's, in bytes.
  static constexpr int64_t kAligned = 16, kAlignedWorkspace = 256;

  // `context` outlives the product.
  static absl::StatusOr<std::unique_ptr<LtProduct>> Make(const LtContext& context, const LtShape& shape);
  ~LtProduct();

  // At most `most` of the library's own proposals, what it takes for the fastest first; none where it has
  // none.
  absl::StatusOr<std::vector<LtAlgorithm>> Candidates(int most, bool fixed_order) const;
  // FAILED_PRECONDITION: the library refuses it for this shape on this device, or `fixed_order` does.
  absl::Status Check(const LtAlgorithm& algorithm, bool fixed_order) const;
  // a, b: float or uint16_t as the type says. `workspace` has LtLibrary::workspace bytes.
  absl::Status Run(const LtAlgorithm& algorithm, const void* a, const void* b, float* c, void* workspace,
                   Stream stream) const;

 private:
  class Parts;
  LtProduct(const LtContext& context, const LtShape& shape);
  absl::Status Init();
  std::string name() const;
  // Empty: it may be used.
  absl::StatusOr<std::string> WhyNot(const LtAlgorithm& algorithm, bool fixed_order) const;

  const LtContext& context_;
  const LtShape shape_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lockstep::kernels
