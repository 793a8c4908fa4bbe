// Tokens to rows of a table, plus a learned row for the position (kernels/embedding.h).
//
// A table may also be the output layer's weight (tied): this node then sums both gradients, leaf by leaf in
// the order of the tree.
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct EmbeddingShape {
  int64_t steps = 0, vocabulary = 0, width = 0, context = 0;
  int table = 0, positions = -1;  // parameter numbers; no positions: -1
};

struct EmbeddingOptions {
  int64_t vocabulary = 0;
  int64_t width = 0;
  std::string positions;  // name of the table of positions; none if empty
  int64_t context = 0;    // its rows; at least the steps
  Initializer initializer{1.0, Initializer::kNormal};
};

struct EmbeddingValue {
  int output = 0;  // (steps, width)
  int table = 0;   // the parameter `name`.weight (vocabulary, width)
};

// `tokens` is a value of tokens, (steps). Parameters `name`.weight and `positions`.weight (context, width).
EmbeddingValue AppendEmbedding(GraphBuilder& builder, const std::string& name, int tokens,
                               const EmbeddingOptions& options);

// The graph's output is `input` (steps, width) times the embedding's table, without a bias. Returns it.
int AppendTiedOutput(GraphBuilder& builder, const std::string& name, int input,
                     const EmbeddingValue& embedding);

}  // namespace lockstep::engine
