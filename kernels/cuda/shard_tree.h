// ShardTree (kernels/shard_outer.h) for kernels that sum over shards on a GPU: the same tree, its arrays in
// the device's memory.
#pragma once

#include <cstdint>

#include "common/numerics/philox.h"
#include "kernels/shard_outer.h"

namespace lockstep::kernels {

struct DeviceTree {
  int rows_per_shard = 0;     // samples
  const int* rows = nullptr;  // real samples of each local shard; device memory
  int nodes = 0;
  const int* node_end = nullptr;  // device memory
  int positions = 1;
  int shards = 0;

  LOCKSTEP_HOST_DEVICE int64_t first(int shard) const { return int64_t{shard} * rows_per_shard * positions; }
  LOCKSTEP_HOST_DEVICE int64_t most() const {
    return int64_t{rows_per_shard} * positions;
  }  // rows of a shard
  LOCKSTEP_HOST_DEVICE int64_t count(int shard) const {
    return int64_t{rows[shard]} * positions;
  }  // on the device
};

// `rows` and `node_end` are copies of the tree's on the device.
inline DeviceTree ForDevice(const ShardTree& tree, const int* rows, const int* node_end) {
  return {tree.rows_per_shard, rows, tree.nodes, node_end, tree.positions, tree.shards()};
}

}  // namespace lockstep::kernels
