// Layer norm and RMS norm over the last dimension (kernels/norm.h).
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct NormShape {
  int64_t positions = 1, width = 0;
  float epsilon = 0;
  bool centred = false;       // layer norm, else RMS norm
  int weight = 0, bias = -1;  // parameter numbers; no bias: -1
};

// Parameters `name`.weight and, with `bias`, `name`.bias, both of the last dimension, from 1 and 0; they do
// not decay.
int AppendLayerNorm(GraphBuilder& builder, const std::string& name, int input, double epsilon, bool bias);
// Parameter `name`.weight.
int AppendRmsNorm(GraphBuilder& builder, const std::string& name, int input, double epsilon);

}  // namespace lockstep::engine
