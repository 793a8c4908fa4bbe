// Who writes what of a checkpoint: rank 0 the weights, and all ranks the optimizer's tensors, so that each
// has about the same number of bytes to copy and to write. Every rank works it out alike. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

struct Shares {
  std::vector<int> owner;  // rank of each tensor, ascending
  std::vector<int> part;   // of each rank, among those that own a tensor; -1: it owns none
  int parts = 0;
};

// `tensors`: bytes of each, in the checkpoint's order.
Shares ShareOut(int64_t weights, const std::vector<int64_t>& tensors, int world);

}  // namespace lockstep
