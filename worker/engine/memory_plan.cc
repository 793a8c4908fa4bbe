#include "worker/engine/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace lockstep::engine {

int MemoryPlan::Add(int64_t floats, int first, int last) {
  buffers_.push_back({(floats + 15) / 16 * 16, first, last, 0});
  return static_cast<int>(buffers_.size()) - 1;
}

void MemoryPlan::Lay() {
  std::vector<int> order(buffers_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [this](int a, int b) { return buffers_[a].floats > buffers_[b].floats; });
  std::vector<int> placed;  // by offset
  for (int number : order) {
    Buffer& buffer = buffers_[number];
    int64_t offset = 0;
    for (int other : placed) {
      const Buffer& neighbour = buffers_[other];
      if (neighbour.last < buffer.first || buffer.last < neighbour.first) continue;
      if (offset + buffer.floats <= neighbour.offset) break;
      offset = std::max(offset, neighbour.offset + neighbour.floats);
    }
    buffer.offset = offset;
    total_ = std::max(total_, offset + buffer.floats);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [this](int64_t at, int b) { return at < buffers_[b].offset; }),
                  number);
  }
}

}  // namespace lockstep::engine
