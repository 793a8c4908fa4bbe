#include "worker/engine/device/gradient_parts.h"

#include <algorithm>

namespace lockstep::engine {
namespace {

struct Stretch {
  int64_t offset = 0;
  size_t complete_at = 0;  // the first node, in forward order, that uses it
};

// By offset. A parameter that no node uses is complete from the start.
std::vector<Stretch> StretchesOf(const Graph& graph) {
  std::vector<Stretch> stretches;
  for (const Parameter& parameter : graph.parameters) {
    stretches.push_back({parameter.offset, graph.nodes.size()});
  }
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    for (const int number : graph.nodes[i]->parameters)
      stretches[static_cast<size_t>(number)].complete_at = i;
  }
  std::ranges::sort(stretches, {}, &Stretch::offset);
  return stretches;
}

}  // namespace

std::vector<BackwardPart> CutBackward(const Graph& graph, int64_t part_floats) {
  const std::vector<Stretch> stretches = StretchesOf(graph);
  std::vector<BackwardPart> parts;
  size_t next = 0;  // the first stretch that is not complete
  int64_t begun = 0;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    while (next < stretches.size() && stretches[next].complete_at >= i) ++next;
    const bool all = next == stretches.size();
    const int64_t complete = all ? graph.flat_size : stretches[next].offset;
    if (complete - begun < part_floats || complete == begun) continue;
    parts.push_back({all ? 0 : i, static_cast<size_t>(begun), static_cast<size_t>(complete - begun)});
    begun = complete;
    if (all) return parts;
  }
  parts.push_back({0, static_cast<size_t>(begun), 0});
  return parts;
}

}  // namespace lockstep::engine
