#include "kernels/cpu/image_variants.h"
#include "kernels/cpu/pick.h"

namespace lockstep::kernels {

int64_t ConvolvedExtent(int64_t extent, int64_t kernel, int64_t stride, int64_t padding) {
  return (extent + 2 * padding - kernel) / stride + 1;
}

namespace cpu {

int64_t ConvolutionPackedSize(const ConvolutionShape& shape) {
  return LOCKSTEP_PICK(ConvolutionPackedSize)(shape);
}
int64_t ConvolutionPackUnits(const ConvolutionShape& shape, bool backward) {
  return LOCKSTEP_PICK(ConvolutionPackUnits)(shape, backward);
}
void ConvolutionPack(const ConvolutionShape& shape, bool backward, int64_t begin, int64_t end,
                     const float* weights, float* packed) {
  LOCKSTEP_PICK(ConvolutionPack)(shape, backward, begin, end, weights, packed);
}
int64_t ConvolutionScratch(const ConvolutionShape& shape) { return LOCKSTEP_PICK(ConvolutionScratch)(shape); }
void ConvolutionForward(const ConvolutionShape& shape, int64_t begin, int64_t end, const float* x,
                        const float* packed, const ConvolutionEnd& last, float* y, float* scratch) {
  LOCKSTEP_PICK(ConvolutionForward)(shape, begin, end, x, packed, last, y, scratch);
}
void ConvolutionInputGradient(const ConvolutionShape& shape, int64_t begin, int64_t end, const float* dy,
                              const float* packed, bool add, float* dx, float* scratch) {
  LOCKSTEP_PICK(ConvolutionInputGradient)(shape, begin, end, dy, packed, add, dx, scratch);
}
int64_t ConvolutionWeightUnits(const ConvolutionShape& shape) {
  return LOCKSTEP_PICK(ConvolutionWeightUnits)(shape);
}
int64_t ConvolutionWeightScratch(const ConvolutionShape& shape, int64_t shards) {
  return LOCKSTEP_PICK(ConvolutionWeightScratch)(shape, shards);
}
void ConvolutionWeightGradient(const ConvolutionShape& shape, const ShardTree& tree, int64_t begin,
                               int64_t end, const float* x, const float* dy, float* dw, float* db,
                               int64_t node_stride, float* scratch) {
  LOCKSTEP_PICK(ConvolutionWeightGradient)(shape, tree, begin, end, x, dy, dw, db, node_stride, scratch);
}
void MaxPoolForward(const PoolShape& shape, int64_t begin, int64_t end, const float* x, float* y,
                    uint8_t* winner) {
  LOCKSTEP_PICK(MaxPoolForward)(shape, begin, end, x, y, winner);
}
void MaxPoolBackward(const PoolShape& shape, int64_t begin, int64_t end, const float* dy,
                     const uint8_t* winner, bool add, float* dx) {
  LOCKSTEP_PICK(MaxPoolBackward)(shape, begin, end, dy, winner, add, dx);
}
void AveragePoolForward(const PoolShape& shape, int64_t begin, int64_t end, const float* x, float* y) {
  LOCKSTEP_PICK(AveragePoolForward)(shape, begin, end, x, y);
}
void AveragePoolBackward(const PoolShape& shape, int64_t begin, int64_t end, const float* dy, bool add,
                         float* dx) {
  LOCKSTEP_PICK(AveragePoolBackward)(shape, begin, end, dy, add, dx);
}
void GlobalAveragePoolForward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                              float* y) {
  LOCKSTEP_PICK(GlobalAveragePoolForward)(pixels, channels, begin, end, x, y);
}
void GlobalAveragePoolBackward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* dy,
                               bool add, float* dx) {
  LOCKSTEP_PICK(GlobalAveragePoolBackward)(pixels, channels, begin, end, dy, add, dx);
}
void BatchNormStatistics(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                         float* mean, float* variance) {
  LOCKSTEP_PICK(BatchNormStatistics)(pixels, channels, begin, end, x, mean, variance);
}
void BatchNormInverse(int64_t channels, float epsilon, const float* variance, float* inverse) {
  LOCKSTEP_PICK(BatchNormInverse)(channels, epsilon, variance, inverse);
}
void BatchNormForward(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                      const float* residual, bool relu, float* y) {
  LOCKSTEP_PICK(BatchNormForward)(pixels, channels, factors, x, residual, relu, y);
}
void BatchNormSums(int64_t pixels, int64_t channels, int64_t begin, int64_t end,
                   const BatchNormFactors& factors, const float* x, const float* y, bool relu, float* dy,
                   float* dgamma, float* dbeta) {
  LOCKSTEP_PICK(BatchNormSums)(pixels, channels, begin, end, factors, x, y, relu, dy, dgamma, dbeta);
}
void BatchNormInputGradient(int64_t count, int64_t pixels, int64_t channels, const BatchNormFactors& factors,
                            const float* dgamma, const float* dbeta, const float* x, bool relu,
                            const float* dy, bool add, float* dx) {
  LOCKSTEP_PICK(BatchNormInputGradient)
  (count, pixels, channels, factors, dgamma, dbeta, x, relu, dy, add, dx);
}

}  // namespace cpu
}  // namespace lockstep::kernels
