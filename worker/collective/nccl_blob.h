// What a rank on a GPU publishes beside its sockets' addresses: NCCL's version, and rank 0 the id under which
// all find each other in NCCL. It stands before the blob of rendezvous_blob.h. Read as outside bytes.
#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/collective/collective.h"
#include "worker/collective/nccl_api.h"

namespace lockstep {

struct NcclRendezvous {
  int version = 0;
  NcclUniqueId id = {};  // rank 0's alone
};

// `exchange` with this around it: publishes `mine` and leaves what rank 0 published in `of_rank_0`.
// INVALID_ARGUMENT: a peer sums on the CPU, or has another version of NCCL.
ExchangeAddresses WithNccl(int rank, const NcclRendezvous& mine, const ExchangeAddresses& exchange,
                           NcclRendezvous* of_rank_0);

}  // namespace lockstep
