// The ways to make a Collective. For MakeCollective alone.
#pragma once

#include <memory>

#include "worker/collective/collective.h"
#include "worker/collective/device.h"
#include "worker/collective/mesh.h"
#include "worker/collective/nccl_api.h"

namespace lockstep {

// `device` may be null: all buffers are the host's.
absl::StatusOr<std::unique_ptr<Collective>> MakeSingle(const CollectiveOptions& options,
                                                       CollectiveDevice* device);
absl::StatusOr<std::unique_ptr<Collective>> MakeGloo(const CollectiveOptions& options,
                                                     const ExchangeAddresses& exchange);
// Over connections that another collective uses as well.
std::unique_ptr<Collective> MakeGlooOver(const CollectiveOptions& options, std::shared_ptr<Mesh> mesh);
// Sums on `device`; what is the host's goes as with Gloo. Both outlive it.
absl::StatusOr<std::unique_ptr<Collective>> MakeNccl(const CollectiveOptions& options,
                                                     const ExchangeAddresses& exchange, const NcclCalls* nccl,
                                                     CollectiveDevice* device);

}  // namespace lockstep
