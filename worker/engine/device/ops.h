// The operations of a graph on a GPU: what Node::BindDevice returns, one source each beside this header. The
// arguments are those of the CPU's sibling.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/activation.h"
#include "kernels/arrange.h"
#include "kernels/attention.h"
#include "kernels/pool.h"
#include "kernels/rope.h"
#include "worker/engine/batch_norm.h"
#include "worker/engine/concat.h"
#include "worker/engine/convolution.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/embedding.h"
#include "worker/engine/graph.h"
#include "worker/engine/linear.h"
#include "worker/engine/norm.h"
#include "worker/engine/op.h"
#include "worker/engine/recurrent.h"

namespace lockstep::engine {

int64_t DeviceLinearScratch(const LinearShape& shape, const Extent& extent);  // floats
std::unique_ptr<DeviceOp> MakeDeviceLinear(const LinearShape& shape, const OpContext& context);

int64_t DeviceConvolutionScratch(const ConvolutionLayer& layer, const Extent& extent);  // floats
std::unique_ptr<DeviceOp> MakeDeviceConvolution(const ConvolutionLayer& layer, const OpContext& context);
int64_t DeviceBatchNormScratch(const BatchNormLayer& layer, const Extent& extent);  // floats
int64_t DeviceBatchNormConstants(const Extent& extent);                             // words
std::unique_ptr<DeviceOp> MakeDeviceBatchNorm(const BatchNormLayer& layer, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceMaxPool(const kernels::PoolShape& shape, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceAveragePool(const kernels::PoolShape& shape, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceGlobalAveragePool(const kernels::PoolShape& shape,
                                                      const OpContext& context);

int64_t DeviceEmbeddingScratch(const EmbeddingShape& shape, bool tied, const Extent& extent);  // floats
int64_t DeviceEmbeddingStaging(const EmbeddingShape& shape, bool tied, const Extent& extent);  // words
std::unique_ptr<DeviceOp> MakeDeviceEmbedding(const EmbeddingShape& shape, const OpContext& context);
int64_t DeviceRopeConstants(const kernels::RopeShape& shape);  // words
std::unique_ptr<DeviceOp> MakeDeviceRope(const kernels::RopeShape& shape, double theta,
                                         const OpContext& context);

int64_t DeviceNormScratch(const NormShape& shape, const Extent& extent);  // floats
std::unique_ptr<DeviceOp> MakeDeviceNorm(const NormShape& shape, const OpContext& context);
int64_t DeviceAttentionScratch(const kernels::AttentionShape& shape, const Extent& extent);  // floats
// Null for heads that the kernel refuses.
std::unique_ptr<DeviceOp> MakeDeviceAttention(const kernels::AttentionShape& shape, const OpContext& context);
int64_t DeviceRecurrentScratch(const RecurrentShape& shape, const Extent& extent);  // floats
std::unique_ptr<DeviceOp> MakeDeviceRecurrent(const RecurrentShape& shape, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceSwiGlu(int64_t width, const OpContext& context);

std::unique_ptr<DeviceOp> MakeDeviceActivation(kernels::Activation activation, int64_t width,
                                               const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceAdd(int64_t width, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceConcat(const ConcatShape& shape, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceLast(int64_t steps, int64_t width, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceDropout(double probability, int64_t width, const OpContext& context);
std::unique_ptr<DeviceOp> MakeDeviceFlatten(int64_t pixels, int64_t channels, const OpContext& context);
// And reshape, which exchanges nothing.
std::unique_ptr<DeviceOp> MakeDeviceTranspose(const kernels::Permutation& forward, const OpContext& context);

}  // namespace lockstep::engine
