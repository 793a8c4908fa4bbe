// Batch normalisation per logical shard, with a residual and ReLU in the same pass: kernels/batch_norm.h as a
// node.
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct BatchNormLayer {
  int64_t pixels = 1, channels = 1;  // of a row
  float epsilon = 1e-5f;
  bool relu = false, residual = false;
  int weight = 0, bias = 0, running_mean = 0, running_variance = 0;  // parameter numbers

  int64_t width() const { return pixels * channels; }
  // ReLU after a residual: the output says what passed.
  bool masked() const { return residual && relu; }
};

struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum =
      0.1;  // of the running statistics, as PyTorch's: new = (1 - momentum) old + momentum batch
  bool relu = false;
  int residual = -1;  // a value of the same shape that is added before ReLU
};

// Over all but the last dimension, (..., channels) -> the same. In training each shard is normalised with the
// statistics of its own real rows; otherwise with the running ones. Parameters `name`.weight (1), `name`.bias
// (0); statistics `name`.running_mean (0) and `name`.running_var (1; unbiased within a shard). Returns the
// output value.
int AppendBatchNorm(GraphBuilder& builder, const std::string& name, int input,
                    const BatchNormOptions& options);

}  // namespace lockstep::engine
