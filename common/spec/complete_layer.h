// Layers of a cnn's and a graph's list: what one is called, and the defaults and ranges of its operation.
#pragma once

#include <string>

#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep::spec {

// "model.graph.layers[2]"
std::string LayerField(const std::string& list, int index);
// As it is called in errors: "model.graph.layers[2] (conv1)".
std::string LayerPlace(const std::string& list, int index, const v1::Layer& layer);

// The key of its operation, "max_pool"; REQUIRES: it has one.
const std::string& OperationOf(const v1::Layer& layer);

// Names layers that have no name, "conv.0", and checks that names are of letters, digits, '.', '_' and '-',
// and each of one layer alone. INVALID_ARGUMENT also where a layer has no operation.
absl::Status NameLayers(const std::string& list, google::protobuf::RepeatedPtrField<v1::Layer>* layers);

// Fills the defaults of the operation of layer list[index], which has a name, and checks its ranges; errors
// name it. What depends on the list (linear.width, attention.causal, inputs) is the caller's.
absl::Status CompleteLayer(const std::string& list, int index, v1::Layer* layer);

// The absence of a required field; `example` shows one.
absl::Status Missing(const std::string& field, absl::string_view example);

}  // namespace lockstep::spec
