// A dense autoencoder (Hinton & Salakhutdinov 2006): encoder.N layers down to the code, decoder.N layers
// back, whose targets are the features.
#pragma once

#include <memory>

#include "kernels/activation.h"
#include "worker/engine/engine.h"

namespace lockstep::engine {

// `field` names the setting in the error.
absl::StatusOr<kernels::Activation> ActivationOf(const char* field, v1::Activation activation);

// INVALID_ARGUMENT: no layer, a width below 1, an unknown activation, dropout out of range.
absl::StatusOr<std::shared_ptr<const Model>> BuildAutoencoder(const v1::AutoencoderSpec& spec, int features);

}  // namespace lockstep::engine
