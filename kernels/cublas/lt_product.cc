#include "kernels/cublas/lt_product.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockstep::kernels {
namespace {

// The library's matrices go by columns: what is row-major here is transposed there, and c^T = b^T a^T. So its
// A is b, its B is a, and nothing is copied.
struct Layout {
  const LtCalls* calls;
  LtLayoutHandle handle = nullptr;
  explicit Layout(const LtCalls* of) : calls(of) {}
  Layout(const Layout&) = delete;
  ~Layout() {
    if (handle != nullptr) (void)calls->MatrixLayoutDestroy(handle);
  }
};
struct Matmul {
  const LtCalls* calls;
  LtMatmulHandle handle = nullptr;
  explicit Matmul(const LtCalls* of) : calls(of) {}
  Matmul(const Matmul&) = delete;
  ~Matmul() {
    if (handle != nullptr) (void)calls->MatmulDescDestroy(handle);
  }
};
struct Preference {
  const LtCalls* calls;
  LtPreferenceHandle handle = nullptr;
  explicit Preference(const LtCalls* of) : calls(of) {}
  Preference(const Preference&) = delete;
  ~Preference() {
    if (handle != nullptr) (void)calls->MatmulPreferenceDestroy(handle);
  }
};

#define LT_CALL(call, ...)                                                                     \
  do {                                                                                         \
    if (const LtStatus lt_status = calls.call(__VA_ARGS__); lt_status != LtStatus::kSuccess) { \
      return ExplainLt(calls, name(), "cublasLt" #call, lt_status);                            \
    }                                                                                          \
  } while (false)

// Bytes that the address of every matrix of a batch is a multiple of.
uint32_t AlignmentOf(int64_t stride, int64_t element) {
  const int64_t of_stride = stride == 0 ? LtProduct::kAligned : stride & -stride;
  return static_cast<uint32_t>(std::min(of_stride, LtProduct::kAligned) * element);
}

}  // namespace

absl::StatusOr<LtContext> LtContext::Make(const LtLibrary* library) {
  cublasLtContext* made = nullptr;
  if (const LtStatus status = library->calls.Create(&made); status != LtStatus::kSuccess) {
    return ExplainLt(library->calls, absl::StrCat("cuBLASLt ", library->version()), "cublasLtCreate", status);
  }
  LtContext context;
  context.library_ = library;
  context.context_ = std::unique_ptr<cublasLtContext, Destroy>(made, Destroy{library});
  return context;
}

class LtProduct::Parts {
 public:
  explicit Parts(const LtCalls* calls) : matmul(calls), a(calls), b(calls), c(calls) {}
  Matmul matmul;
  Layout a, b, c;
};

LtProduct::LtProduct(const LtContext& context, const LtShape& shape)
    : context_(context), shape_(shape), parts_(std::make_unique<Parts>(&context.library().calls)) {}
LtProduct::~LtProduct() = default;

std::string LtProduct::name() const {
  return absl::StrFormat("product of %d x %d x %d (%s%s%s, %d at once)", shape_.m, shape_.n, shape_.k,
                         shape_.type == GemmType::kBf16 ? "bf16" : "fp32", shape_.a_transposed ? ", a^T" : "",
                         shape_.b_transposed ? ", b^T" : "", shape_.batch);
}

absl::StatusOr<std::unique_ptr<LtProduct>> LtProduct::Make(const LtContext& context, const LtShape& shape) {
  std::unique_ptr<LtProduct> product(new LtProduct(context, shape));
  RETURN_IF_ERROR(product->Init());
  return product;
}

absl::Status LtProduct::Init() {
  const LtCalls& calls = context_.library().calls;
  const LtType type = shape_.type == GemmType::kBf16 ? LtType::kBfloat16 : LtType::kFloat32;
  LT_CALL(MatmulDescCreate, &parts_->matmul.handle, LtCompute::kFloat32, LtType::kFloat32);
  const auto operation = [](bool transposed) {
    return transposed ? LtOperation::kTransposed : LtOperation::kAsItIs;
  };
  const LtOperation of_b = operation(shape_.b_transposed), of_a = operation(shape_.a_transposed);
  LT_CALL(MatmulDescSetAttribute, parts_->matmul.handle, LtMatmulAttribute::kTransposeA, &of_b, sizeof(of_b));
  LT_CALL(MatmulDescSetAttribute, parts_->matmul.handle, LtMatmulAttribute::kTransposeB, &of_a, sizeof(of_a));
  // (rows, columns) of ours are (columns, rows) of theirs.
  const auto create = [&](Layout& layout, LtType of, int64_t rows, int64_t columns,
                          int64_t stride) -> absl::Status {
    LT_CALL(MatrixLayoutCreate, &layout.handle, of, static_cast<uint64_t>(columns),
            static_cast<uint64_t>(rows), columns);
    const int32_t batch = shape_.batch;
    LT_CALL(MatrixLayoutSetAttribute, layout.handle, LtLayoutAttribute::kBatchCount, &batch, sizeof(batch));
    LT_CALL(MatrixLayoutSetAttribute, layout.handle, LtLayoutAttribute::kBatchStride, &stride,
            sizeof(stride));
    return absl::OkStatus();
  };
  const int64_t m = shape_.m, n = shape_.n, k = shape_.k;
  RETURN_IF_ERROR(shape_.a_transposed ? create(parts_->a, type, k, m, shape_.a_stride)
                                      : create(parts_->a, type, m, k, shape_.a_stride));
  RETURN_IF_ERROR(shape_.b_transposed ? create(parts_->b, type, n, k, shape_.b_stride)
                                      : create(parts_->b, type, k, n, shape_.b_stride));
  return create(parts_->c, LtType::kFloat32, m, n, shape_.c_stride);
}

absl::StatusOr<std::string> LtProduct::WhyNot(const LtAlgorithm& algorithm, bool fixed_order) const {
  const LtCalls& calls = context_.library().calls;
  uint64_t implementation = 0;
  size_t written = 0;
  LT_CALL(MatmulAlgoCapGetAttribute, &algorithm, LtCapability::kImplementation, &implementation,
          sizeof(implementation), &written);
  const uint64_t input = shape_.type == GemmType::kBf16 ? kLtInputBfloat16 : kLtInputFloat32;
  if ((implementation & kLtInputs) != input || (implementation & kLtAccumulators) != kLtAccumulatorFloat32) {
    return absl::StrFormat("it computes with other types (flags %#x)", implementation);
  }
  if (!fixed_order) return std::string();
  int32_t parts = 0;
  uint32_t scheme = 0;
  LT_CALL(MatmulAlgoConfigGetAttribute, &algorithm, LtConfigAttribute::kSplitK, &parts, sizeof(parts),
          &written);
  LT_CALL(MatmulAlgoConfigGetAttribute, &algorithm, LtConfigAttribute::kReductionScheme, &scheme,
          sizeof(scheme), &written);
  if (parts > 1 || scheme != 0) {
    return absl::StrCat("it adds ", parts, " parts of a sum (scheme ", scheme,
                        "), which only a job with reproducible: false may do");
  }
  return std::string();
}

absl::StatusOr<std::vector<LtAlgorithm>> LtProduct::Candidates(int most, bool fixed_order) const {
  const LtCalls& calls = context_.library().calls;
  Preference preference(&calls);
  LT_CALL(MatmulPreferenceCreate, &preference.handle);
  const auto set = [&](LtPreferenceAttribute attribute, auto value) -> absl::Status {
    LT_CALL(MatmulPreferenceSetAttribute, preference.handle, attribute, &value, sizeof(value));
    return absl::OkStatus();
  };
  const bool bf16 = shape_.type == GemmType::kBf16;
  const int64_t element = bf16 ? 2 : 4;
  RETURN_IF_ERROR(
      set(LtPreferenceAttribute::kMaxWorkspace, static_cast<uint64_t>(context_.library().workspace)));
  if (fixed_order) RETURN_IF_ERROR(set(LtPreferenceAttribute::kReductionSchemes, uint32_t{0}));
  RETURN_IF_ERROR(set(LtPreferenceAttribute::kAlignmentA, AlignmentOf(shape_.b_stride, element)));
  RETURN_IF_ERROR(set(LtPreferenceAttribute::kAlignmentB, AlignmentOf(shape_.a_stride, element)));
  RETURN_IF_ERROR(set(LtPreferenceAttribute::kAlignmentC, AlignmentOf(shape_.c_stride, 4)));
  RETURN_IF_ERROR(set(LtPreferenceAttribute::kAlignmentD, AlignmentOf(shape_.c_stride, 4)));
  RETURN_IF_ERROR(
      set(LtPreferenceAttribute::kImplementations,
          kLtFma | kLtAccumulatorFloat32 | (bf16 ? kLtTensorCores | kLtInputBfloat16 : kLtInputFloat32)));
  std::vector<LtHeuristicResult> results(static_cast<size_t>(most));
  int count = 0;
  const LtStatus status = calls.MatmulAlgoGetHeuristic(
      context_.get(), parts_->matmul.handle, parts_->b.handle, parts_->a.handle, parts_->c.handle,
      parts_->c.handle, preference.handle, most, results.data(), &count);
  if (status == LtStatus::kNotSupported) return std::vector<LtAlgorithm>();
  if (status != LtStatus::kSuccess) {
    return ExplainLt(calls, name(), "cublasLtMatmulAlgoGetHeuristic", status);
  }
  std::vector<LtAlgorithm> choices;
  for (int i = 0; i < count; ++i) {
    if (results[i].state != LtStatus::kSuccess) continue;
    ASSIGN_OR_RETURN(const std::string why_not, WhyNot(results[i].algorithm, fixed_order));
    if (!why_not.empty()) continue;
    choices.push_back(results[i].algorithm);
  }
  return choices;
}

absl::Status LtProduct::Check(const LtAlgorithm& algorithm, bool fixed_order) const {
  const LtCalls& calls = context_.library().calls;
  LtHeuristicResult result;
  LtStatus status =
      calls.MatmulAlgoCheck(context_.get(), parts_->matmul.handle, parts_->b.handle, parts_->a.handle,
                            parts_->c.handle, parts_->c.handle, &algorithm, &result);
  if (status == LtStatus::kSuccess) status = result.state;
  if (status != LtStatus::kSuccess) {
    const absl::Status why = ExplainLt(calls, name(), "cublasLtMatmulAlgoCheck", status);
    return absl::FailedPreconditionError(why.message());
  }
  if (static_cast<int64_t>(result.workspace) > context_.library().workspace) {
    return absl::FailedPreconditionError(absl::StrCat(name(), ": the algorithm wants a workspace of ",
                                                      result.workspace, " bytes, it has ",
                                                      context_.library().workspace));
  }
  const absl::StatusOr<std::string> why_not = WhyNot(algorithm, fixed_order);
  if (!why_not.ok()) return absl::FailedPreconditionError(why_not.status().message());
  if (why_not->empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(name(), ": ", *why_not));
}

absl::Status LtProduct::Run(const LtAlgorithm& algorithm, const void* a, const void* b, float* c,
                            void* workspace, Stream stream) const {
  const LtCalls& calls = context_.library().calls;
  const float alpha = 1, beta = shape_.add ? 1 : 0;
  LT_CALL(Matmul, context_.get(), parts_->matmul.handle, &alpha, b, parts_->b.handle, a, parts_->a.handle,
          &beta, c, parts_->c.handle, c, parts_->c.handle, &algorithm, workspace,
          static_cast<size_t>(context_.library().workspace), stream);
  return absl::OkStatus();
}

}  // namespace lockstep::kernels
