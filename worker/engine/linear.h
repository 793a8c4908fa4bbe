// y = f(x W^T + b): a linear layer with its activation fused in.
#pragma once

#include <string>

#include "kernels/activation.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

struct LinearShape {
  int64_t positions = 1, inputs = 0, outputs = 0;
  kernels::Activation activation = kernels::Activation::kIdentity;
  int weight = 0, bias = -1;  // parameter numbers; no bias: -1
  bool tied = false;          // another node sums the weight's gradient
  // Backward wants what the activation was given.
  bool has_product() const { return kernels::SavesInput(activation); }
};

// Over the last dimension: (..., inputs) -> (..., outputs). Parameters `name`.weight (outputs, inputs) and,
// with `bias`, `name`.bias (outputs), initialised uniformly within 1 / sqrt(inputs) unless `initializer` says
// otherwise (the bias then starts from 0). Returns the output value.
struct LinearOptions {
  kernels::Activation activation = kernels::Activation::kIdentity;
  bool bias = true;
  const Initializer* initializer = nullptr;
  int tied =
      -1;  // use this parameter (outputs, inputs) as the weight; the node that owns it sums its gradient
};
int AppendLinear(GraphBuilder& builder, const std::string& name, int input, int64_t outputs,
                 const LinearOptions& options);
inline int AppendLinear(GraphBuilder& builder, const std::string& name, int input, int64_t outputs,
                        kernels::Activation activation) {
  return AppendLinear(builder, name, input, outputs, LinearOptions{activation, true, nullptr, -1});
}

}  // namespace lockstep::engine
