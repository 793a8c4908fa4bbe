// Lays buffers with known lifetimes out in one block, so that buffers that are never alive together share
// memory. Greedy by size: the largest first, each at the lowest offset that no living neighbour occupies.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep::engine {

class MemoryPlan {
 public:
  // A buffer of `floats` that is alive during [first, last] (both included, any unit of time). Returns its
  // number.
  int Add(int64_t floats, int first, int last);
  // Assigns the offsets. Call once, after the last Add.
  void Lay();
  // In floats; a multiple of 16. REQUIRES: Lay.
  int64_t offset(int buffer) const { return buffers_[buffer].offset; }
  int64_t total() const { return total_; }

 private:
  struct Buffer {
    int64_t floats = 0;  // rounded up
    int first = 0, last = 0;
    int64_t offset = 0;
  };
  std::vector<Buffer> buffers_;
  int64_t total_ = 0;
};

}  // namespace lockstep::engine
