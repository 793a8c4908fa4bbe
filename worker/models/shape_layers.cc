#include "worker/models/shape_layers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/engine/add.h"
#include "worker/engine/concat.h"
#include "worker/engine/reshape.h"

namespace lockstep::engine {
namespace {

absl::StatusOr<int> AppendJoined(GraphBuilder& builder, const LayerPlace& place) {
  const int rank = static_cast<int>(place.shape().size());
  const int axis = AxisOf(place.layer().concat(), rank);
  if (axis < 0 || axis >= rank) {
    return place.Error(absl::StrCat("expected an axis from ", -rank, " to ", rank - 1, " for ", place.Got(),
                                    ", got ", place.layer().concat().axis(), "; the batch is not counted"));
  }
  std::vector<int> values;
  for (int i = 0; i < place.inputs(); ++i) {
    std::vector<int64_t> shape = place.shape(i);
    if (static_cast<int>(shape.size()) == rank) shape[axis] = place.shape()[axis];
    if (shape != place.shape()) {
      return place.Error(absl::StrCat("expected inputs that differ in axis ", axis, " alone, got ",
                                      place.Got(), " and ", place.Got(i)));
    }
    values.push_back(place.input(i));
  }
  return AppendConcat(builder, place.name(), values, axis);
}

absl::StatusOr<int> AppendReshaped(GraphBuilder& builder, const LayerPlace& place) {
  const auto& wanted = place.layer().reshape().shape();
  std::vector<int64_t> shape(wanted.begin(), wanted.end());
  const int64_t width = builder.width(place.input());
  int64_t known = 1;
  for (const int64_t extent : shape) {
    // Never above the width, so that nothing overflows.
    if (extent > 0) known = extent > width / known ? width + 1 : known * extent;
    if (known > width) break;
  }
  const auto inferred = std::find(shape.begin(), shape.end(), -1);
  const bool fits = inferred == shape.end() ? known == width : known <= width && width % known == 0;
  if (!fits) {
    return place.Error(absl::StrCat("cannot make ", ShapeText(shape), " of the ", width, " elements of ",
                                    place.Got(), "; expected a shape with as many"));
  }
  if (inferred != shape.end()) *inferred = width / known;
  return AppendReshape(builder, place.name(), place.input(), std::move(shape));
}

absl::StatusOr<int> AppendTransposed(GraphBuilder& builder, const LayerPlace& place) {
  const auto& axes = place.layer().transpose().axes();
  if (static_cast<size_t>(axes.size()) != place.shape().size()) {
    return place.Error(absl::StrCat("expected an order of ", place.shape().size(), " axes, those of ",
                                    place.Got(), ", got ", axes.size(), "; the batch is not counted"));
  }
  return AppendTranspose(builder, place.name(), place.input(), {axes.begin(), axes.end()});
}

}  // namespace

absl::StatusOr<int> AppendShapeLayer(GraphBuilder& builder, const LayerPlace& place) {
  switch (place.layer().operation_case()) {
    case v1::Layer::kAdd:
      RETURN_IF_ERROR(place.AreAlike(0, 1));
      return AppendAdd(builder, place.name(), place.input(0), place.input(1));
    case v1::Layer::kConcat:
      return AppendJoined(builder, place);
    case v1::Layer::kReshape:
      return AppendReshaped(builder, place);
    case v1::Layer::kTranspose:
      return AppendTransposed(builder, place);
    default:
      return place.Error("not a layer of shapes");
  }
}

}  // namespace lockstep::engine
