#include "worker/models/resnet.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/engine/batch_norm.h"
#include "worker/engine/convolution.h"
#include "worker/engine/linear.h"
#include "worker/engine/pool.h"
#include "worker/models/image_layers.h"

namespace lockstep::engine {
namespace {

struct Stages {
  std::vector<int> blocks;
  bool bottleneck = false;
};

absl::StatusOr<Stages> StagesOf(int depth) {
  switch (depth) {
    case 18:
      return Stages{{2, 2, 2, 2}, false};
    case 34:
      return Stages{{3, 4, 6, 3}, false};
    case 50:
      return Stages{{3, 4, 6, 3}, true};
    case 101:
      return Stages{{3, 4, 23, 3}, true};
    case 152:
      return Stages{{3, 8, 36, 3}, true};
    default:
      break;
  }
  if (depth < 8 || depth % 6 != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.resnet.depth: expected 18, 34, 50, 101, 152 or 6n + 2, got ", depth));
  }
  const int n = (depth - 2) / 6;
  return Stages{{n, n, n}, false};
}

class ResNet {
 public:
  explicit ResNet(std::vector<int64_t> input_shape) : builder_(std::move(input_shape)) {}

  // Without bias; Kaiming normal over the fan out, for ReLU.
  int Convolution(const std::string& name, int input, int64_t channels, int64_t kernel, int64_t stride) {
    const Initializer normal{std::sqrt(2.0 / static_cast<double>(channels * kernel * kernel)),
                             Initializer::kNormal};
    ConvolutionOptions options;
    options.channels = channels;
    options.kernel = kernel;
    options.stride = stride;
    options.padding = kernel / 2;
    options.bias = false;
    options.initializer = &normal;
    return AppendConvolution(builder_, name, input, options);
  }
  int Norm(const std::string& name, int input, bool relu, int residual = -1) {
    BatchNormOptions options;
    options.relu = relu;
    options.residual = residual;
    return AppendBatchNorm(builder_, name, input, options);
  }
  int Shortcut(const std::string& block, int input, int64_t channels, int64_t stride) {
    if (stride == 1 && builder_.shape(input)[2] == channels) return input;
    const int value = Convolution(block + ".downsample.0", input, channels, 1, stride);
    return Norm(block + ".downsample.1", value, false);
  }
  int BasicBlock(const std::string& block, int input, int64_t channels, int64_t stride) {
    int value = Convolution(block + ".conv1", input, channels, 3, stride);
    value = Norm(block + ".bn1", value, true);
    value = Convolution(block + ".conv2", value, channels, 3, 1);
    return Norm(block + ".bn2", value, true, Shortcut(block, input, channels, stride));
  }
  int Bottleneck(const std::string& block, int input, int64_t channels, int64_t stride) {
    int value = Convolution(block + ".conv1", input, channels, 1, 1);
    value = Norm(block + ".bn1", value, true);
    value = Convolution(block + ".conv2", value, channels, 3, stride);
    value = Norm(block + ".bn2", value, true);
    value = Convolution(block + ".conv3", value, 4 * channels, 1, 1);
    return Norm(block + ".bn3", value, true, Shortcut(block, input, 4 * channels, stride));
  }
  int Stem(v1::Stem stem, int64_t channels) {
    if (stem != v1::STEM_IMAGENET)
      return Norm("bn1", Convolution("conv1", builder_.input(), channels, 3, 1), true);
    const int value = Norm("bn1", Convolution("conv1", builder_.input(), channels, 7, 2), true);
    kernels::PoolShape pool;
    pool.kernel = 3, pool.stride = 2, pool.padding = 1;
    return AppendPool(builder_, "maxpool", value, Pooling::kMax, pool);
  }
  std::shared_ptr<const Model> Finish(int value, int outputs, v1::Loss loss) {
    value = AppendGlobalAveragePool(builder_, "avgpool", value);
    value = AppendLinear(builder_, "fc", value, outputs, kernels::Activation::kIdentity);
    return std::move(builder_).Build(value, loss);
  }

 private:
  GraphBuilder builder_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildResNet(const v1::ResNetSpec& resnet, int features,
                                                         int outputs, v1::Loss loss) {
  ASSIGN_OR_RETURN(std::vector<int64_t> shape,
                   ImageShape("model.resnet.input_shape", resnet.input_shape(), features));
  ASSIGN_OR_RETURN(const Stages stages, StagesOf(resnet.depth()));
  ResNet net(std::move(shape));
  int64_t channels = resnet.width();
  int value = net.Stem(resnet.stem(), channels);
  for (size_t stage = 0; stage < stages.blocks.size(); ++stage, channels *= 2) {
    for (int i = 0; i < stages.blocks[stage]; ++i) {
      const std::string block = absl::StrCat("layer", stage + 1, ".", i);
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      value = stages.bottleneck ? net.Bottleneck(block, value, channels, stride)
                                : net.BasicBlock(block, value, channels, stride);
    }
  }
  return net.Finish(value, outputs, loss);
}

}  // namespace lockstep::engine
