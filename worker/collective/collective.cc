#include "worker/collective/collective.h"

#include "worker/collective/backends.h"

namespace lockstep {

absl::StatusOr<std::unique_ptr<Collective>> MakeCollective(const CollectiveOptions& options,
                                                           const ExchangeAddresses& exchange) {
  if (options.world < 1 || options.rank < 0 || options.rank >= options.world ||
      options.shards < options.world) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", options.rank, " of ", options.world, " with ",
                                                   options.shards,
                                                   " logical shards: expected 0 <= rank < world <= shards"));
  }
  if (options.memory == CollectiveOptions::Memory::kHost) {
    return options.world == 1 ? MakeSingle(options, nullptr) : MakeGloo(options, exchange);
  }
  ASSIGN_OR_RETURN(CollectiveDevice* const device, TheCollectiveDevice());
  if (options.world == 1) return MakeSingle(options, device);
  ASSIGN_OR_RETURN(const NcclCalls* const nccl, LoadNccl());
  return MakeNccl(options, exchange, nccl, device);
}

}  // namespace lockstep
