// The ways to make a Collective. For MakeCollective alone.
#pragma once

#include <memory>

#include "worker/collective/collective.h"

namespace lockstep {

absl::StatusOr<std::unique_ptr<Collective>> MakeSingle(const CollectiveOptions& options);
absl::StatusOr<std::unique_ptr<Collective>> MakeGloo(const CollectiveOptions& options,
                                                     const ExchangeAddresses& exchange);

}  // namespace lockstep
