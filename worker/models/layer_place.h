// One layer of a cnn's or graph's list while it is built: its spec, what it reads, and errors that name it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/graph.h"

namespace lockstep::engine {

// "13x13x32"
inline std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrJoin(shape, "x"); }

// A value and the layer that made it: "conv1", or "input".
struct LayerInput {
  std::string layer;
  int value = 0;
};

class LayerPlace {
 public:
  // `list` is "model.cnn.layers". The layer outlives the place; it is complete, as CompleteSpec leaves it.
  LayerPlace(const GraphBuilder& builder, const std::string& list, int index, const v1::Layer& layer,
             std::vector<LayerInput> inputs)
      : layer_(&layer),
        name_(absl::StrCat(list, "[", index, "] (", layer.name(), ")")),
        inputs_(std::move(inputs)) {
    for (const LayerInput& input : inputs_) {
      shapes_.push_back(builder.shape(input.value));
      tokens_ |= builder.tokens(input.value);
    }
  }

  // The same place with another layer, which outlives it.
  LayerPlace With(const v1::Layer& layer) const {
    LayerPlace place = *this;
    place.layer_ = &layer;
    return place;
  }

  const v1::Layer& layer() const { return *layer_; }
  const std::string& name() const { return layer_->name(); }
  int inputs() const { return static_cast<int>(inputs_.size()); }
  int input(int i = 0) const { return inputs_[static_cast<size_t>(i)].value; }
  const std::vector<int64_t>& shape(int i = 0) const { return shapes_[static_cast<size_t>(i)]; }
  bool reads_tokens() const { return tokens_; }

  absl::Status Error(const std::string& message) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", message));
  }
  // "13x13x32 from 'conv1'"
  std::string Got(int i = 0) const {
    return absl::StrCat(ShapeText(shape(i)), " from '", inputs_[static_cast<size_t>(i)].layer, "'");
  }
  absl::Status IsImage() const {
    if (shape().size() == 3) return absl::OkStatus();
    return Error(absl::StrCat("expected an image (height x width x channels), got ", Got(),
                              "; put the layer before flatten, linear and global_average_pool"));
  }
  absl::Status IsSequence(int i = 0) const {
    if (shape(i).size() == 2) return absl::OkStatus();
    return Error(absl::StrCat("expected a sequence (steps x width), got ", Got(i),
                              "; a reshape layer, or the model's input_shape, makes one"));
  }
  // Two inputs of one shape.
  absl::Status AreAlike(int a, int b) const {
    if (shape(a) == shape(b)) return absl::OkStatus();
    return Error(absl::StrCat("expected inputs of one shape, got ", Got(a), " and ", Got(b)));
  }

 private:
  const v1::Layer* layer_;
  std::string name_;
  std::vector<LayerInput> inputs_;
  std::vector<std::vector<int64_t>> shapes_;
  bool tokens_ = false;
};

}  // namespace lockstep::engine
