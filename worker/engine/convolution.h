// y = f(convolution of x): kernels/convolution.h as a node.
#pragma once

#include <string>

#include "kernels/activation.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

struct ConvolutionOptions {
  int64_t channels = 1;  // of the output
  int64_t kernel = 3, stride = 1, padding = 0, groups = 1;
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool bias = true;
  const Initializer* initializer = nullptr;  // of the weights
};

// (height, width, channels) -> (out height, out width, options.channels). Parameters `name`.weight (channels,
// inputs / groups, kernel, kernel) and, with `bias`, `name`.bias (channels), initialised uniformly within 1 /
// sqrt(fan in) unless `initializer` says otherwise (the bias then starts from 0). REQUIRES: the kernel fits,
// groups divide. Returns the output value.
int AppendConvolution(GraphBuilder& builder, const std::string& name, int input,
                      const ConvolutionOptions& options);

}  // namespace lockstep::engine
