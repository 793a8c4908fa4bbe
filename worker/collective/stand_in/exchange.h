// One group of messages.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

namespace lockstep::stand_in {

struct Transfer {
  int peer;
  char* data;
  size_t bytes;
  bool sends;
};

// All of them together, those of one peer and one direction in order. Hangs, until `aborted`, where a peer is
// gone or sends another number of bytes.
void ExchangeAll(const std::vector<int>& sockets, const std::vector<Transfer>& transfers,
                 const std::atomic<bool>& aborted);

}  // namespace lockstep::stand_in
