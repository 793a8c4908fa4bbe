// From the spec's words to the engine's, for layers.
#pragma once

#include "kernels/activation.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

// Unspecified: none.
inline kernels::Activation LayerActivation(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_RELU:
      return kernels::Activation::kRelu;
    case v1::ACTIVATION_TANH:
      return kernels::Activation::kTanh;
    case v1::ACTIVATION_SIGMOID:
      return kernels::Activation::kSigmoid;
    case v1::ACTIVATION_GELU:
      return kernels::Activation::kGelu;
    case v1::ACTIVATION_SILU:
      return kernels::Activation::kSilu;
    default:
      return kernels::Activation::kIdentity;
  }
}

// What `operation` (a LinearLayer or the like) says of its first weights, kept in *own; null: the engine's
// default.
template <typename Operation>
const Initializer* InitializerOf(const Operation& operation, Initializer* own) {
  switch (operation.initializer().kind_case()) {
    case v1::InitializerSpec::kNormal:
      *own = {operation.initializer().normal(), Initializer::kNormal};
      return own;
    case v1::InitializerSpec::kUniform:
      *own = {operation.initializer().uniform(), Initializer::kUniform};
      return own;
    case v1::InitializerSpec::kConstant:
      *own = {operation.initializer().constant(), Initializer::kConstant};
      return own;
    default:
      return nullptr;
  }
}

}  // namespace lockstep::engine
