// A reduction tree on the device, for tests of kernels that sum over shards.
#pragma once

#include <vector>

#include "kernels/cuda/device_for_test.h"
#include "kernels/cuda/shard_tree.h"

namespace lockstep::kernels {

struct TreeOnDevice {
  TreeOnDevice(int rows_per_shard, int positions, const std::vector<int>& real_rows,
               const std::vector<int>& node_ends)
      : rows(real_rows), ends(node_ends) {
    ShardTree host{rows_per_shard, real_rows.data(), static_cast<int>(node_ends.size()), node_ends.data()};
    host.positions = positions;
    tree = ForDevice(host, rows.get(), ends.get());
  }
  OnDevice<int> rows, ends;
  DeviceTree tree;
};

}  // namespace lockstep::kernels
