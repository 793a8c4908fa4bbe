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
  return options.world == 1 ? MakeSingle(options) : MakeGloo(options, exchange);
}

}  // namespace lockstep
