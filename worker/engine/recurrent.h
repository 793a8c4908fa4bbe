// One layer of an LSTM or a GRU over all steps of a sequence (kernels/recurrent_cell.h), from a state of
// zeros.
#pragma once

#include <string>

#include "worker/engine/graph.h"

namespace lockstep::engine {

enum class RecurrentKind { kLstm, kGru };

struct RecurrentShape {
  RecurrentKind kind = RecurrentKind::kLstm;
  int64_t steps = 0, inputs = 0, hidden = 0;
  int weight_ih = 0, weight_hh = 0, bias_ih = 0, bias_hh = 0;  // parameter numbers
  bool lstm() const { return kind == RecurrentKind::kLstm; }
  int64_t gates() const { return (lstm() ? 4 : 3) * hidden; }
};

// (steps, inputs) -> (steps, hidden). Parameters of layer k, as PyTorch has them: `name`.weight_ih_lk (gates
// * hidden, inputs), `name`.weight_hh_lk (gates * hidden, hidden), `name`.bias_ih_lk and `name`.bias_hh_lk
// (gates * hidden), all uniform within 1 / sqrt(hidden). The node is `node`, by default `name`_lk.
int AppendRecurrent(GraphBuilder& builder, RecurrentKind kind, const std::string& name, int layer, int input,
                    int64_t hidden, const std::string& node = "");

}  // namespace lockstep::engine
