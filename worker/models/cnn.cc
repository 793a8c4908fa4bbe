#include "worker/models/cnn.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/engine/flatten.h"
#include "worker/engine/linear.h"
#include "worker/models/image_layers.h"

namespace lockstep::engine {

absl::StatusOr<std::shared_ptr<const Model>> BuildCnn(const v1::CnnSpec& cnn, int features, int outputs,
                                                      v1::Loss loss) {
  ASSIGN_OR_RETURN(std::vector<int64_t> shape,
                   ImageShape("model.cnn.input_shape", cnn.input_shape(), features));
  GraphBuilder builder(std::move(shape));
  int value = builder.input();
  std::string name = "input";
  for (int i = 0; i < cnn.layers_size(); ++i) {
    const LayerPlace place(builder, "model.cnn.layers", i, cnn.layers(i), {{name, value}});
    ASSIGN_OR_RETURN(value, AppendImageLayer(builder, place));
    name = cnn.layers(i).name();
  }
  if (builder.shape(value).size() == 3) value = AppendFlatten(builder, "output.flatten", value);
  value = AppendLinear(builder, "output", value, outputs, kernels::Activation::kIdentity);
  return std::move(builder).Build(value, loss);
}

}  // namespace lockstep::engine
