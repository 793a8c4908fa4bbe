// What a rank publishes so that its peers can connect: what it was told about the job, and for each peer the
// address of the socket that waits for that peer. Blobs come through the coordinator: read as outside bytes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

// What a blob begins with, by where its rank sums: on the CPU, or on a GPU (nccl_blob.h).
inline constexpr char kHostBlobMagic[] = "lockstep-gloo-1";
inline constexpr char kDeviceBlobMagic[] = "lockstep-nccl-1";

struct RendezvousBlob {
  int world = 1;
  int shards = 1;
  size_t n = 0;
  int rank = 0;
  std::vector<std::string> addresses;  // (world), the own one empty
};

std::string FormatBlob(const RendezvousBlob& blob);

// INVALID_ARGUMENT: not a blob of this version.
absl::StatusOr<RendezvousBlob> ParseBlob(const std::string& text);

// INVALID_ARGUMENT names what differs.
absl::Status CheckAgreement(const RendezvousBlob& mine, const RendezvousBlob& theirs, int rank);

}  // namespace lockstep
