// y = f(convolution of x): kernels/convolution.h as a node.
#pragma once

#include <string>

#include "kernels/activation.h"
#include "kernels/convolution.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

struct ConvolutionOptions {
  int64_t channels = 1;  // of the output
  int64_t kernel = 3, stride = 1, padding = 0, groups = 1;
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool bias = true;
  const Initializer* initializer = nullptr;  // of the weights
};

struct ConvolutionLayer {
  kernels::ConvolutionShape shape;
  int64_t out_height = 0, out_width = 0;
  kernels::Activation activation = kernels::Activation::kIdentity;
  int weight = 0, bias = -1;  // parameter numbers; no bias: -1

  int64_t in_size() const { return shape.height * shape.width * shape.channels; }
  int64_t out_pixels() const { return out_height * out_width; }
  int64_t out_size() const { return out_pixels() * shape.outputs; }
  // ReLU is the convolution's own; the others follow it, some with what was before them kept.
  bool fused() const {
    return activation == kernels::Activation::kIdentity || activation == kernels::Activation::kRelu;
  }
  bool keeps_product() const { return kernels::SavesInput(activation); }
};

// (height, width, channels) -> (out height, out width, options.channels). Parameters `name`.weight (channels,
// inputs / groups, kernel, kernel) and, with `bias`, `name`.bias (channels), initialised uniformly within 1 /
// sqrt(fan in) unless `initializer` says otherwise (the bias then starts from 0). REQUIRES: the kernel fits,
// groups divide. Returns the output value.
int AppendConvolution(GraphBuilder& builder, const std::string& name, int input,
                      const ConvolutionOptions& options);

}  // namespace lockstep::engine
