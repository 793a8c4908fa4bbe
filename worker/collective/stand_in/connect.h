// Sockets between all ranks of a communicator.
#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace lockstep::stand_in {

// By rank, the own one -1. Waits for all ranks, or until `aborted`: then some are missing.
std::vector<int> ConnectRanks(const std::string& name, int rank, int world, const std::atomic<bool>& aborted);

}  // namespace lockstep::stand_in
