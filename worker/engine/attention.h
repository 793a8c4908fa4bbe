// Multi-head attention without its projections (kernels/attention.h), and rotary embedding (kernels/rope.h).
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

struct AttentionOptions {
  int64_t heads = 1;
  int64_t key_value_heads = 1;  // divides heads
  bool causal = true;
};

// Over one value of (steps, query | key | value), as one projection makes it. REQUIRES: the heads divide the
// width.
int AppendFusedAttention(GraphBuilder& builder, const std::string& name, int input,
                         const AttentionOptions& options);
// Over three values: (steps, heads * head width) and twice (steps, key_value_heads * head width).
int AppendAttention(GraphBuilder& builder, const std::string& name, int query, int key, int value,
                    const AttentionOptions& options);

// Rotates the first `heads` heads of (steps, width), each `head_width` columns, by their step; what is behind
// them stays. REQUIRES: head_width is even, heads * head_width <= width.
int AppendRope(GraphBuilder& builder, const std::string& name, int input, int64_t heads, int64_t head_width,
               double theta);

}  // namespace lockstep::engine
