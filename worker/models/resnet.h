// Residual networks (He et al. 2016), with the names and first weights of torchvision's (v1.5: a bottleneck
// strides in its 3x3 convolution), so that their safetensors are exchangeable.
//
//   conv1, bn1, ReLU, (max pool)      the stem: 3x3 for small images, 7x7 with stride 2 and a max pool for
//   large ones layer1 .. layer4                  stages of blocks; each but the first halves the image and
//   doubles the channels global average pool, fc
//
//   basic block   x + bn2(conv2(ReLU(bn1(conv1 x)))), ReLU        two 3x3; up to depth 34 and in the CIFAR
//   family bottleneck    1x1, 3x3, 1x1 to four times the channels        from depth 50 on
//
// Depths 6n + 2 are the CIFAR family: three stages of n basic blocks. Where a block changes its shape, x goes
// through a 1x1 convolution and batch norm (downsample), in the CIFAR family as well.
#pragma once

#include <memory>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

// `resnet` is complete, input_shape included. INVALID_ARGUMENT: input_shape is not that of `features` values,
// an unknown depth.
absl::StatusOr<std::shared_ptr<const Model>> BuildResNet(const v1::ResNetSpec& resnet, int features,
                                                         int outputs, v1::Loss loss);

}  // namespace lockstep::engine
