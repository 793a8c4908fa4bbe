// The launches of a training step, captured once and then queued with one call for each stretch of it.
//
//   first step of a shape     as it is: what happens once, such as loading a kernel, happens here
//   second                    captured, and the capture launched
//   from then on              launched
//
// A shape is what launches are given by value and what may differ between steps: what else differs, such as
// the step's number, they read from the device's memory. An epoch's short last batch is a shape of its own.
// There are at most kMostShapes; those that come later run as they are. Graphs take memory of the device that
// no plan counts: where none is left for them, the job goes on without any.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "common/base/status.h"
#include "kernels/cuda/runtime.h"

namespace lockstep::engine {

class StepGraphs {
 public:
  static constexpr size_t kMostShapes = 4;

  struct Shape {
    const float* weights = nullptr;
    int batch_rows = 0;
    std::vector<int> shard_rows;
    size_t stretches = 1;  // that the step is cut into
    bool operator==(const Shape&) const = default;
  };

  // Without `enabled` every step runs as it is. `stream` outlives this object.
  StepGraphs(const kernels::DeviceStream& stream, bool enabled) : stream_(stream), enabled_(enabled) {}

  // Queues the stretches in turn, each by queue(number) or from its graph, and calls done(number) after each.
  // What fails ends the step; a later one goes on with what was captured.
  absl::Status Run(const Shape& shape, const std::function<absl::Status(size_t)>& queue,
                   const std::function<absl::Status(size_t)>& done);

  size_t captured() const;  // stretches

 private:
  struct Known {
    Shape shape;
    std::vector<kernels::DeviceGraph> graphs;  // of its first stretches
  };

  // Null: not to be captured, now or ever.
  Known* KnownOf(const Shape& shape);
  absl::Status RunStretch(size_t number, Known& known, const std::function<absl::Status(size_t)>& queue);

  const kernels::DeviceStream& stream_;
  bool enabled_;
  std::vector<Known> known_;
};

}  // namespace lockstep::engine
