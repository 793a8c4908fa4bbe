#include "worker/collective/nccl_blob.h"

#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/collective/rendezvous_blob.h"

namespace lockstep {
namespace {

constexpr char kNoId[] = "-";

std::string Format(int rank, const NcclRendezvous& nccl, const std::string& rest) {
  const std::string id(nccl.id.internal, sizeof(nccl.id.internal));
  return absl::StrCat(kDeviceBlobMagic, " ", nccl.version, " ",
                      rank == 0 ? absl::BytesToHexString(id) : kNoId, " ", rest);
}

struct Parsed {
  NcclRendezvous nccl;
  std::string rest;
};

absl::StatusOr<Parsed> Parse(int peer, const std::string& text) {
  const auto fail = [peer](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("the rendezvous address of rank ", peer, " ", what));
  };
  const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits(' ', 3));
  if (parts[0] == kHostBlobMagic) {
    return fail(
        "is that of a rank that sums on the CPU, and this one sums on a GPU: all ranks of a job must "
        "have the same kind of device");
  }
  Parsed parsed;
  if (parts.size() != 4 || parts[0] != kDeviceBlobMagic ||
      !absl::SimpleAtoi(parts[1], &parsed.nccl.version)) {
    return fail("is no GPU's; do all workers run the same version of Lockstep?");
  }
  const std::string& id = parts[2];
  if (peer == 0 ? id.size() != 2 * sizeof(NcclUniqueId) ||
                      id.find_first_not_of("0123456789abcdef") != std::string::npos
                : id != kNoId) {
    return fail("holds no id of NCCL at its place");
  }
  if (peer == 0) {
    const std::string bytes = absl::HexStringToBytes(id);
    std::memcpy(parsed.nccl.id.internal, bytes.data(), sizeof(parsed.nccl.id.internal));
  }
  parsed.rest = parts[3];
  return parsed;
}

}  // namespace

ExchangeAddresses WithNccl(int rank, const NcclRendezvous& mine, const ExchangeAddresses& exchange,
                           NcclRendezvous* of_rank_0) {
  return [=](const std::string& address) -> absl::StatusOr<std::vector<std::string>> {
    ASSIGN_OR_RETURN(std::vector<std::string> blobs, exchange(Format(rank, mine, address)));
    for (size_t peer = 0; peer < blobs.size(); ++peer) {
      ASSIGN_OR_RETURN(Parsed theirs, Parse(static_cast<int>(peer), blobs[peer]));
      if (theirs.nccl.version != mine.version) {
        return absl::InvalidArgumentError(
            absl::StrCat("rank ", rank, " has NCCL ", NcclVersionText(mine.version), ", rank ", peer, " has ",
                         NcclVersionText(theirs.nccl.version),
                         ": NCCL works among equal versions alone; install the same "
                         "libnccl2 on both nodes"));
      }
      if (peer == 0) *of_rank_0 = theirs.nccl;
      blobs[peer] = std::move(theirs.rest);
    }
    return blobs;
  };
}

}  // namespace lockstep
