// A model as the spec lists it: any acyclic list of layers, by the same operations that the other models are
// made of. Nodes and parameters are named after the layers ("conv1.weight"), in the list's order, so that a
// graph which spells a built-in model out has its first weights, its plan and its bits.
#pragma once

#include <memory>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

// What a graph's input and output must be.
struct GraphTask {
  v1::Task task = v1::TASK_UNSPECIFIED;
  v1::Loss loss = v1::LOSS_UNSPECIFIED;
  int features = 0;  // of a row; tokens of a window
  int outputs = 0;   // classes, targets, features to reconstruct, or the dataset's vocabulary
};

// `graph` is complete, as CompleteSpec leaves it. INVALID_ARGUMENT, naming the layer: it does not fit its
// inputs; the last one is not an output for the task; over text, a layer lets a step see later ones.
absl::StatusOr<std::shared_ptr<const Model>> BuildGraph(const v1::GraphSpec& graph, const GraphTask& task);

}  // namespace lockstep::engine
