#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/rows.h"

namespace lockstep::kernels::cuda {
namespace {

// The packs of a row that one of its threads owns. The first kHeld are read once and stay in registers, which
// is all of them up to 1024 floats for a warp and 8192 for a block, in packs of four; the rest of a longer
// row is read at each use. Rows of odd widths hold a quarter of that: more would double this source's
// compiling and spill.
template <int kWarps, int kCount>
class OwnPacks {
 public:
  static constexpr int kHeld = 8;
  static constexpr int64_t kStep = kWarps * kWarp * kCount;

  __device__ OwnPacks(const float* row, int64_t width, int lane, bool aligned)
      : row_(row), width_(width), first_(int64_t{lane} * kCount), aligned_(aligned) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (first_ + i * kStep < width_) held_[i] = Load<kCount>(row_ + first_ + i * kStep, aligned_);
    }
  }
  // Calls each(column, pack).
  template <class Each>
  __device__ void ForEach(const Each& each) const {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (first_ + i * kStep < width_) each(first_ + i * kStep, held_[i]);
    }
    for (int64_t c = first_ + kHeld * kStep; c < width_; c += kStep)
      each(c, Load<kCount>(row_ + c, aligned_));
  }
  // Calls each(column, pack, the same pack of `other`).
  template <class Each>
  __device__ void ForEachWith(const OwnPacks& other, const Each& each) const {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (first_ + i * kStep < width_) each(first_ + i * kStep, held_[i], other.held_[i]);
    }
    for (int64_t c = first_ + kHeld * kStep; c < width_; c += kStep) {
      each(c, Load<kCount>(row_ + c, aligned_), Load<kCount>(other.row_ + c, aligned_));
    }
  }

 private:
  const float* row_;
  int64_t width_, first_;
  bool aligned_;
  Pack<kCount> held_[kHeld];
};

template <int kWarps, int kCount, bool kCentred>
__global__ void __launch_bounds__(kThreads, 3)
    NormKernel(int64_t rows, int64_t width, bool aligned, float epsilon, const float* gamma,
               const float* beta, const float* x, float* y, float* means, float* rstds) {
  constexpr int kOwn = kWarps * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kOwn;
  for (int64_t r = FirstItem() / kOwn; r < rows; r += ItemStride() / kOwn) {
    const OwnPacks<kWarps, kCount> row(x + r * width, width, lane, aligned);
    float mean = 0.0f, squares = 0.0f;
    if constexpr (kCentred) {
      row.ForEach([&](int64_t, const auto& pack) {
        for (int k = 0; k < kCount; ++k) mean += pack[k];
      });
      mean = BlockSum<kWarps>(mean) / static_cast<float>(width);
    }
    row.ForEach([&](int64_t, const auto& pack) {
      for (int k = 0; k < kCount; ++k) squares += (pack[k] - mean) * (pack[k] - mean);
    });
    const float rstd = 1.0f / sqrtf(BlockSum<kWarps>(squares) / static_cast<float>(width) + epsilon);
    if (lane == 0) {
      if constexpr (kCentred) means[r] = mean;
      rstds[r] = rstd;
    }
    row.ForEach([&](int64_t c, auto pack) {
      const auto scale = Load<kCount>(gamma + c, aligned);
      for (int k = 0; k < kCount; ++k) pack[k] = (pack[k] - mean) * rstd * scale[k];
      if (beta != nullptr) {
        const auto shift = Load<kCount>(beta + c, aligned);
        for (int k = 0; k < kCount; ++k) pack[k] += shift[k];
      }
      Store(y + r * width + c, pack, aligned);
    });
  }
}

template <int kWarps, int kCount, bool kCentred>
__global__ void __launch_bounds__(kThreads, 2)
    NormBackwardKernel(int64_t rows, int64_t width, bool aligned, const float* gamma, const float* x,
                       const float* means, const float* rstds, const float* dy, bool add, float* dx) {
  constexpr int kOwn = kWarps * kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kOwn;
  const float share = 1.0f / static_cast<float>(width);
  for (int64_t r = FirstItem() / kOwn; r < rows; r += ItemStride() / kOwn) {
    const OwnPacks<kWarps, kCount> row(x + r * width, width, lane, aligned);
    const OwnPacks<kWarps, kCount> gradient(dy + r * width, width, lane, aligned);
    const float mean = kCentred ? means[r] : 0.0f, rstd = rstds[r];
    float sum = 0.0f, product = 0.0f;
    row.ForEachWith(gradient, [&](int64_t c, const auto& values, const auto& dys) {
      const auto scale = Load<kCount>(gamma + c, aligned);
      for (int k = 0; k < kCount; ++k) {
        const float g = dys[k] * scale[k];
        sum += g;
        product += g * ((values[k] - mean) * rstd);
      }
    });
    const float centre = kCentred ? BlockSum<kWarps>(sum) * share : 0.0f;
    const float slope = BlockSum<kWarps>(product) * share;
    row.ForEachWith(gradient, [&](int64_t c, const auto& values, auto dys) {
      const auto scale = Load<kCount>(gamma + c, aligned);
      for (int k = 0; k < kCount; ++k) {
        dys[k] = (dys[k] * scale[k] - centre - (values[k] - mean) * rstd * slope) * rstd;
      }
      AddOrStore(add, dx + r * width + c, dys, aligned);
    });
  }
}

template <bool kCentred>
Launched Normalise(const char* launcher, int64_t rows, int64_t width, float epsilon, const float* gamma,
                   const float* beta, const float* x, float* y, float* mean, float* rstd, Stream stream) {
  if (rows * width == 0) return {};
  return ForRows(rows, width, [&](auto warps, auto floats, unsigned blocks) {
    return Launch<NormKernel<warps.kInt, floats.kInt, kCentred>>({launcher, blocks, kThreads, stream}, rows,
                                                                 width, FourAtATime(gamma, beta, x, y),
                                                                 epsilon, gamma, beta, x, y, mean, rstd);
  });
}

template <bool kCentred>
Launched NormaliseBackward(const char* launcher, int64_t rows, int64_t width, const float* gamma,
                           const float* x, const float* mean, const float* rstd, const float* dy, bool add,
                           float* dx, Stream stream) {
  if (rows * width == 0) return {};
  return ForRows(rows, width, [&](auto warps, auto floats, unsigned blocks) {
    return Launch<NormBackwardKernel<warps.kInt, floats.kInt, kCentred>>(
        {launcher, blocks, kThreads, stream}, rows, width, FourAtATime(gamma, x, dy, dx), gamma, x, mean,
        rstd, dy, add, dx);
  });
}

// dgamma and dbeta.
struct NormTerm {
  static constexpr int kSums = 2;
  int64_t width;
  const float *x, *mean, *rstd, *dy;
  template <int kCount>
  __device__ void operator()(int64_t row, int64_t column, Pack<kCount>* sums) const {
    const float centre = mean == nullptr ? 0.0f : mean[row], scale = rstd[row];
    const auto values = Load<kCount>(x + row * width + column);
    const auto g = Load<kCount>(dy + row * width + column);
    for (int k = 0; k < kCount; ++k) {
      sums[0][k] += g[k] * ((values[k] - centre) * scale);
      sums[1][k] += g[k];
    }
  }
};

}  // namespace

Launched LayerNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
                          const float* x, float* y, float* mean, float* rstd, Stream stream) {
  return Normalise<true>("LayerNormForward", rows, width, epsilon, gamma, beta, x, y, mean, rstd, stream);
}
Launched LayerNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                           const float* rstd, const float* dy, bool add, float* dx, Stream stream) {
  return NormaliseBackward<true>("LayerNormBackward", rows, width, gamma, x, mean, rstd, dy, add, dx, stream);
}
Launched RmsNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* x,
                        float* y, float* rstd, Stream stream) {
  return Normalise<false>("RmsNormForward", rows, width, epsilon, gamma, nullptr, x, y, nullptr, rstd,
                          stream);
}
Launched RmsNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* rstd,
                         const float* dy, bool add, float* dx, Stream stream) {
  return NormaliseBackward<false>("RmsNormBackward", rows, width, gamma, x, nullptr, rstd, dy, add, dx,
                                  stream);
}

int64_t NormScratch(const DeviceTree& tree, int64_t width) {
  return ColumnSumScratch(tree, width, NormTerm::kSums);
}

Launched NormParameterGradients(const DeviceTree& tree, int64_t width, const float* x, const float* mean,
                                const float* rstd, const float* dy, float* dgamma, float* dbeta,
                                int64_t node_stride, float* scratch, Stream stream) {
  return SumColumns("NormParameterGradients", tree, width, FourAtATime(x, dy),
                    NormTerm{width, x, mean, rstd, dy}, ColumnOutputs<2>{{dgamma, dbeta}, node_stride},
                    scratch, stream);
}

}  // namespace lockstep::kernels::cuda
