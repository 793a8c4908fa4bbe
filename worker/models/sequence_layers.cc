#include "worker/models/sequence_layers.h"

#include "absl/strings/str_cat.h"
#include "worker/engine/attention.h"
#include "worker/engine/linear.h"
#include "worker/engine/norm.h"
#include "worker/engine/recurrent.h"
#include "worker/engine/reshape.h"
#include "worker/engine/swiglu.h"
#include "worker/models/layer_options.h"

namespace lockstep::engine {
namespace {

// Heads of an even width, as the rotary embedding turns pairs of columns.
absl::Status HasEvenHeads(const LayerPlace& place, int64_t width, int64_t heads) {
  if (width / heads % 2 == 0) return absl::OkStatus();
  return place.Error(absl::StrCat("a head is ", width / heads, " columns wide (", width, " / ", heads,
                                  " heads); the rotary embedding needs an even number"));
}

absl::Status HeadsDivide(const LayerPlace& place, int64_t heads) {
  if (place.shape()[1] % heads == 0) return absl::OkStatus();
  return place.Error(absl::StrCat(heads, " heads do not divide the width ", place.shape()[1], ", of ",
                                  place.Got(), "; each head is width / heads wide"));
}

AttentionOptions OptionsOf(const v1::AttentionLayer& layer) {
  return {layer.heads(), layer.key_value_heads(), layer.causal()};
}

// Over query, key and value side by side.
absl::StatusOr<int> AppendSideBySide(GraphBuilder& builder, const LayerPlace& place, int fused) {
  const v1::AttentionLayer& layer = place.layer().attention();
  const int64_t heads = layer.heads(), rotated = heads + layer.key_value_heads();
  const int64_t head_width = builder.shape(fused)[1] / (heads + 2 * layer.key_value_heads());
  if (layer.has_rope_theta()) {
    RETURN_IF_ERROR(HasEvenHeads(place, heads * head_width, heads));
    fused = AppendRope(builder, place.name() + ".rope", fused, rotated, head_width, layer.rope_theta());
  }
  return AppendFusedAttention(builder, place.name(), fused, OptionsOf(layer));
}

absl::StatusOr<int> AppendProjectedAttention(GraphBuilder& builder, const LayerPlace& place) {
  const v1::AttentionLayer& layer = place.layer().attention();
  RETURN_IF_ERROR(HeadsDivide(place, layer.heads()));
  const int64_t width = place.shape()[1], head_width = width / layer.heads();
  Initializer own;
  LinearOptions options;
  options.bias = layer.bias();
  options.initializer = InitializerOf(layer, &own);
  int x = AppendLinear(builder, place.name() + ".qkv", place.input(),
                       (layer.heads() + 2 * layer.key_value_heads()) * head_width, options);
  ASSIGN_OR_RETURN(x, AppendSideBySide(builder, place, x));
  return AppendLinear(builder, place.name() + ".output", x, width, options);
}

absl::StatusOr<int> AppendThree(GraphBuilder& builder, const LayerPlace& place) {
  const v1::AttentionLayer& layer = place.layer().attention();
  RETURN_IF_ERROR(HeadsDivide(place, layer.heads()));
  const std::vector<int64_t>& query = place.shape();
  const std::vector<int64_t> key = {query[0], query[1] / layer.heads() * layer.key_value_heads()};
  for (const int i : {1, 2}) {
    if (place.shape(i) == key) continue;
    return place.Error(absl::StrCat("expected a ", i == 1 ? "key" : "value", " of ", ShapeText(key), " (",
                                    layer.key_value_heads(), " heads of ", query[1] / layer.heads(),
                                    " columns for each of ", query[0], " steps), got ", place.Got(i)));
  }
  return AppendAttention(builder, place.name(), place.input(0), place.input(1), place.input(2),
                         OptionsOf(layer));
}

absl::StatusOr<int> AppendAnyAttention(GraphBuilder& builder, const LayerPlace& place) {
  const v1::AttentionLayer& layer = place.layer().attention();
  for (int i = 0; i < place.inputs(); ++i) RETURN_IF_ERROR(place.IsSequence(i));
  if (layer.projections()) return AppendProjectedAttention(builder, place);
  if (place.inputs() == 3) return AppendThree(builder, place);
  const int64_t parts = layer.heads() + 2 * int64_t{layer.key_value_heads()};
  if (place.shape()[1] % parts != 0) {
    return place.Error(absl::StrCat("expected query, key and value side by side, a width divisible by ",
                                    parts, " (", layer.heads(), " + 2 x ", layer.key_value_heads(),
                                    " heads), got ", place.Got()));
  }
  return AppendSideBySide(builder, place, place.input());
}

absl::StatusOr<int> AppendRotation(GraphBuilder& builder, const LayerPlace& place) {
  const v1::RopeLayer& rope = place.layer().rope();
  RETURN_IF_ERROR(place.IsSequence());
  RETURN_IF_ERROR(HeadsDivide(place, rope.heads()));
  const int64_t width = place.shape()[1];
  RETURN_IF_ERROR(HasEvenHeads(place, width, rope.heads()));
  return AppendRope(builder, place.name(), place.input(), rope.heads(), width / rope.heads(), rope.theta());
}

}  // namespace

absl::StatusOr<int> AppendSequenceLayer(GraphBuilder& builder, const LayerPlace& place) {
  const v1::Layer& layer = place.layer();
  switch (layer.operation_case()) {
    case v1::Layer::kLayerNorm:
      return AppendLayerNorm(builder, place.name(), place.input(), layer.layer_norm().epsilon(),
                             layer.layer_norm().bias());
    case v1::Layer::kRmsNorm:
      return AppendRmsNorm(builder, place.name(), place.input(), layer.rms_norm().epsilon());
    case v1::Layer::kAttention:
      return AppendAnyAttention(builder, place);
    case v1::Layer::kRope:
      return AppendRotation(builder, place);
    case v1::Layer::kSwiglu:
      RETURN_IF_ERROR(place.AreAlike(0, 1));
      return AppendSwiGlu(builder, place.name(), place.input(0), place.input(1));
    case v1::Layer::kLstm:
    case v1::Layer::kGru: {
      RETURN_IF_ERROR(place.IsSequence());
      const bool lstm = layer.has_lstm();
      return AppendRecurrent(builder, lstm ? RecurrentKind::kLstm : RecurrentKind::kGru, place.name(), 0,
                             place.input(), lstm ? layer.lstm().hidden() : layer.gru().hidden(),
                             place.name());
    }
    case v1::Layer::kLast:
      if (place.shape().size() < 2) RETURN_IF_ERROR(place.IsSequence());
      return AppendLast(builder, place.name(), place.input());
    default:
      return place.Error("not a layer of sequences");
  }
}

}  // namespace lockstep::engine
