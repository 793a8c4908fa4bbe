#include "worker/engine/device/step_graphs.h"

#include <algorithm>
#include <utility>

namespace lockstep::engine {

StepGraphs::Known* StepGraphs::KnownOf(const Shape& shape) {
  if (!enabled_) return nullptr;
  const auto found = std::ranges::find(known_, shape, &Known::shape);
  if (found != known_.end()) return &*found;
  if (known_.size() < kMostShapes) known_.push_back({shape, {}});
  return nullptr;
}

absl::Status StepGraphs::RunStretch(size_t number, Known& known,
                                    const std::function<absl::Status(size_t)>& queue) {
  if (known.graphs.size() == number) {
    ASSIGN_OR_RETURN(kernels::DeviceGraph graph,
                     kernels::DeviceGraph::Capture(stream_, [&] { return queue(number); }));
    known.graphs.push_back(std::move(graph));
  }
  return known.graphs[number].Launch(stream_);
}

absl::Status StepGraphs::Run(const Shape& shape, const std::function<absl::Status(size_t)>& queue,
                             const std::function<absl::Status(size_t)>& done) {
  Known* known = KnownOf(shape);
  for (size_t number = 0; number < shape.stretches; ++number) {
    absl::Status status = known == nullptr ? queue(number) : RunStretch(number, *known, queue);
    if (known != nullptr && absl::IsResourceExhausted(status)) {
      enabled_ = false;
      known = nullptr;
      known_.clear();
      status = queue(number);
    }
    RETURN_IF_ERROR(status);
    RETURN_IF_ERROR(done(number));
  }
  return absl::OkStatus();
}

size_t StepGraphs::captured() const {
  size_t all = 0;
  for (const Known& known : known_) all += known.graphs.size();
  return all;
}

}  // namespace lockstep::engine
