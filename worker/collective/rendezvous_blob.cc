#include "worker/collective/rendezvous_blob.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace lockstep {
namespace {

constexpr int kMaxWorld = 4096;

}  // namespace

std::string FormatBlob(const RendezvousBlob& blob) {
  std::vector<std::string> parts = {kHostBlobMagic, absl::StrCat(blob.world), absl::StrCat(blob.shards),
                                    absl::StrCat(blob.n), absl::StrCat(blob.rank)};
  for (const std::string& address : blob.addresses) parts.push_back(absl::BytesToHexString(address));
  return absl::StrJoin(parts, " ");
}

absl::StatusOr<RendezvousBlob> ParseBlob(const std::string& text) {
  const auto fail = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("a peer's rendezvous address ", what,
                                                   "; do all workers run the same version of Lockstep?"));
  };
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  if (parts[0] == kDeviceBlobMagic) {
    return absl::InvalidArgumentError(
        "a peer sums on a GPU and this rank on the CPU: all ranks of a job must have the same kind of "
        "device");
  }
  RendezvousBlob blob;
  if (parts.size() < 5 || parts[0] != kHostBlobMagic)
    return fail(absl::StrCat("does not begin with ", kHostBlobMagic));
  if (!absl::SimpleAtoi(parts[1], &blob.world) || !absl::SimpleAtoi(parts[2], &blob.shards) ||
      !absl::SimpleAtoi(parts[3], &blob.n) || !absl::SimpleAtoi(parts[4], &blob.rank)) {
    return fail("holds a field that is not a number");
  }
  if (blob.world < 1 || blob.world > kMaxWorld || parts.size() != 5 + static_cast<size_t>(blob.world)) {
    return fail("holds the wrong number of addresses");
  }
  for (size_t i = 5; i < parts.size(); ++i) {
    if (parts[i].size() % 2 != 0 || parts[i].size() > 1024 ||
        parts[i].find_first_not_of("0123456789abcdef") != std::string::npos) {
      return fail("holds an address that is not hex");
    }
    blob.addresses.push_back(absl::HexStringToBytes(parts[i]));
  }
  return blob;
}

absl::Status CheckAgreement(const RendezvousBlob& mine, const RendezvousBlob& theirs, int rank) {
  const auto differs = [&](absl::string_view what, auto ours, auto its) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", mine.rank, " has ", what, " ", ours, ", rank ",
                                                   rank, " has ", its,
                                                   ": both must come from the same assignment"));
  };
  if (theirs.rank != rank) return differs("at the place of its address rank", rank, theirs.rank);
  if (theirs.world != mine.world) return differs("world", mine.world, theirs.world);
  if (theirs.shards != mine.shards) return differs("shards", mine.shards, theirs.shards);
  if (theirs.n != mine.n) return differs("n", mine.n, theirs.n);
  return absl::OkStatus();
}

}  // namespace lockstep
