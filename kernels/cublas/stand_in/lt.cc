#include "kernels/cublas/stand_in/lt.h"

#include <cstring>

#include "kernels/cublas/stand_in/product.h"

// The opaque ones, as this library has them.
struct cublasLtContext {
  int unused;
};

namespace lockstep::kernels {

struct LtMatmulOpaque {
  LtOperation a = LtOperation::kAsItIs, b = LtOperation::kAsItIs;
};
struct LtLayoutOpaque {
  LtType type;
  int64_t rows, columns, ld;
  int32_t batch = 1;
  int64_t stride = 0;
};
struct LtPreferenceOpaque {
  uint64_t workspace = 0, implementations = ~uint64_t{0};
  uint32_t schemes = 7;
};

namespace stand_in {
namespace {

Behaviour behaviour;
int64_t uses[kAlgorithms] = {};
double now = 0;

constexpr uint64_t kMark = 0x4c6f636b73746570;  // an algorithm of this library
constexpr int64_t kWorkspace = 64;

LtStatus Store(void* to, size_t wanted, const void* from, size_t bytes) {
  if (wanted != bytes) return LtStatus::kInvalidValue;
  std::memcpy(to, from, bytes);
  return LtStatus::kSuccess;
}

LtStatus Create(cublasLtContext** context) {
  *context = new cublasLtContext;
  return LtStatus::kSuccess;
}
LtStatus Destroy(cublasLtContext* context) {
  delete context;
  return LtStatus::kSuccess;
}
const char* GetStatusName(LtStatus status) {
  return status == LtStatus::kNotSupported ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_OF_STAND_IN";
}
const char* GetStatusString(LtStatus) { return "as the test has it"; }
size_t GetVersion() { return behaviour.version; }

LtStatus MatmulDescCreate(LtMatmulHandle* matmul, LtCompute compute, LtType scale) {
  if (compute != LtCompute::kFloat32 || scale != LtType::kFloat32) return LtStatus::kNotSupported;
  *matmul = new LtMatmulOpaque;
  return LtStatus::kSuccess;
}
LtStatus MatmulDescDestroy(LtMatmulHandle matmul) {
  delete matmul;
  return LtStatus::kSuccess;
}
LtStatus MatmulDescSetAttribute(LtMatmulHandle matmul, LtMatmulAttribute attribute, const void* value,
                                size_t bytes) {
  LtOperation& to = attribute == LtMatmulAttribute::kTransposeA ? matmul->a : matmul->b;
  return Store(&to, sizeof(to), value, bytes);
}
LtStatus MatrixLayoutCreate(LtLayoutHandle* layout, LtType type, uint64_t rows, uint64_t columns,
                            int64_t ld) {
  if (ld < static_cast<int64_t>(rows)) return LtStatus::kInvalidValue;
  *layout = new LtLayoutOpaque{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), ld};
  return LtStatus::kSuccess;
}
LtStatus MatrixLayoutDestroy(LtLayoutHandle layout) {
  delete layout;
  return LtStatus::kSuccess;
}
LtStatus MatrixLayoutSetAttribute(LtLayoutHandle layout, LtLayoutAttribute attribute, const void* value,
                                  size_t bytes) {
  return attribute == LtLayoutAttribute::kBatchCount
             ? Store(&layout->batch, sizeof(layout->batch), value, bytes)
             : Store(&layout->stride, sizeof(layout->stride), value, bytes);
}
LtStatus PreferenceCreate(LtPreferenceHandle* preference) {
  *preference = new LtPreferenceOpaque;
  return LtStatus::kSuccess;
}
LtStatus PreferenceDestroy(LtPreferenceHandle preference) {
  delete preference;
  return LtStatus::kSuccess;
}
LtStatus PreferenceSetAttribute(LtPreferenceHandle preference, LtPreferenceAttribute attribute,
                                const void* value, size_t bytes) {
  switch (attribute) {
    case LtPreferenceAttribute::kMaxWorkspace:
      return Store(&preference->workspace, sizeof(uint64_t), value, bytes);
    case LtPreferenceAttribute::kReductionSchemes:
      return Store(&preference->schemes, sizeof(uint32_t), value, bytes);
    case LtPreferenceAttribute::kImplementations:
      return Store(&preference->implementations, sizeof(uint64_t), value, bytes);
    default:
      return bytes == sizeof(uint32_t) ? LtStatus::kSuccess : LtStatus::kInvalidValue;
  }
}

// What the operands' layouts and the operations say of one another.
bool Fits(const LtMatmulOpaque& matmul, const LtLayoutOpaque& a, const LtLayoutOpaque& b,
          const LtLayoutOpaque& d) {
  const bool a_as_it_is = matmul.a == LtOperation::kAsItIs, b_as_it_is = matmul.b == LtOperation::kAsItIs;
  const int64_t k = a_as_it_is ? a.columns : a.rows;
  return (a_as_it_is ? a.rows : a.columns) == d.rows && (b_as_it_is ? b.rows : b.columns) == k &&
         (b_as_it_is ? b.columns : b.rows) == d.columns && a.type == b.type && a.batch == b.batch &&
         a.batch == d.batch && d.type == LtType::kFloat32;
}

int NumberOf(const LtAlgorithm& algorithm) {
  return algorithm.data[0] == kMark && algorithm.data[1] < kAlgorithms ? static_cast<int>(algorithm.data[1])
                                                                       : -1;
}

LtStatus Heuristic(cublasLtContext*, LtMatmulHandle matmul, LtLayoutHandle a, LtLayoutHandle b,
                   LtLayoutHandle c, LtLayoutHandle d, LtPreferenceHandle, int most,
                   LtHeuristicResult* results, int* count) {
  if (!Fits(*matmul, *a, *b, *d) || c != d) return LtStatus::kInvalidValue;
  if (!behaviour.supports) return LtStatus::kNotSupported;
  // The masks are not heeded: that a caller looks at what it is given is to be seen.
  for (*count = 0; *count < kAlgorithms && *count < most; ++*count) {
    LtHeuristicResult& result = results[*count];
    result.algorithm = {{kMark, static_cast<uint64_t>(*count), a->type == LtType::kBfloat16}};
    result.workspace = kWorkspace;
  }
  return LtStatus::kSuccess;
}
LtStatus AlgoCheck(cublasLtContext*, LtMatmulHandle matmul, LtLayoutHandle a, LtLayoutHandle b,
                   LtLayoutHandle, LtLayoutHandle d, const LtAlgorithm* algorithm,
                   LtHeuristicResult* result) {
  const int number = NumberOf(*algorithm);
  if (number < 0 || !Fits(*matmul, *a, *b, *d)) return LtStatus::kInvalidValue;
  if (number == behaviour.refuses || !behaviour.supports) return LtStatus::kNotSupported;
  result->workspace = kWorkspace;
  return LtStatus::kSuccess;
}
LtStatus ConfigGet(const LtAlgorithm* algorithm, LtConfigAttribute attribute, void* value, size_t bytes,
                   size_t* written) {
  const bool split = NumberOf(*algorithm) == kSplit;
  *written = bytes;
  const int32_t parts = split ? 2 : 1;
  const uint32_t scheme = split ? 1 : 0;
  return attribute == LtConfigAttribute::kSplitK ? Store(value, bytes, &parts, sizeof(parts))
                                                 : Store(value, bytes, &scheme, sizeof(scheme));
}
LtStatus CapGet(const LtAlgorithm* algorithm, LtCapability, void* value, size_t bytes, size_t* written) {
  const uint64_t input = NumberOf(*algorithm) == kTf32 ? uint64_t{0x4} << 16
                         : algorithm->data[2] != 0     ? kLtInputBfloat16
                                                       : kLtInputFloat32;
  const uint64_t flags = kLtFma | kLtAccumulatorFloat32 | input;
  *written = bytes;
  return Store(value, bytes, &flags, sizeof(flags));
}

LtStatus DoMatmul(cublasLtContext*, LtMatmulHandle matmul, const void* alpha, const void* a,
                  LtLayoutHandle a_layout, const void* b, LtLayoutHandle b_layout, const void* beta,
                  const void* c, LtLayoutHandle, void* d, LtLayoutHandle d_layout,
                  const LtAlgorithm* algorithm, void* workspace, size_t workspace_bytes, Stream stream) {
  const int number = NumberOf(*algorithm);
  if (number < 0 || !Fits(*matmul, *a_layout, *b_layout, *d_layout) || c != d ||
      *static_cast<const float*>(alpha) != 1 || workspace_bytes < kWorkspace ||
      reinterpret_cast<uintptr_t>(workspace) % 256 != 0) {
    return LtStatus::kInvalidValue;
  }
  if (behaviour.fails) return LtStatus::kExecutionFailed;
  LtProductArguments product = {};
  product.a = {a, a_layout->ld, a_layout->stride, matmul->a == LtOperation::kTransposed};
  product.b = {b, b_layout->ld, b_layout->stride, matmul->b == LtOperation::kTransposed};
  product.d = static_cast<float*>(d);
  product.m = d_layout->rows, product.n = d_layout->columns;
  product.k = product.a.transposed ? a_layout->rows : a_layout->columns;
  product.ld = d_layout->ld, product.stride = d_layout->stride;
  product.batch = d_layout->batch;
  product.bf16 = a_layout->type == LtType::kBfloat16;
  product.add = *static_cast<const float*>(beta) != 0;
  product.order = number;
  if (number == kByBatch) product.order = product.batch == 1 ? kForwards : kBackwards;
  if (number == kUnsteady) product.order = uses[kUnsteady] % 3 == 0 ? kForwards : kBackwards;
  ++uses[number];
  now += number == behaviour.fastest ? -1 : 1;
  return LaunchLtProduct(product, stream).ok() ? LtStatus::kSuccess : LtStatus::kExecutionFailed;
}

// The clock of a world in which our own kernel takes no time at all.
double Seconds() { return now; }

}  // namespace

Behaviour& Behave() { return behaviour; }
int64_t Uses(Algorithm algorithm) { return uses[algorithm]; }

const LtLibrary* Lt() {
  static const LtLibrary library{
      {Create, Destroy, GetStatusName, GetStatusString, GetVersion, MatmulDescCreate, MatmulDescDestroy,
       MatmulDescSetAttribute, MatrixLayoutCreate, MatrixLayoutDestroy, MatrixLayoutSetAttribute,
       PreferenceCreate, PreferenceDestroy, PreferenceSetAttribute, Heuristic, AlgoCheck, ConfigGet, CapGet,
       DoMatmul},
      /*workspace=*/1024,
      /*least_work=*/0,
      Seconds,
      /*rounds=*/1,
      /*times=*/1};
  return &library;
}

}  // namespace stand_in
}  // namespace lockstep::kernels
