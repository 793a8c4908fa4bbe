#include "worker/engine/graph.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "common/numerics/philox.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/reshape.h"
#include "worker/engine/team.h"

namespace lockstep::engine {
namespace {

constexpr int64_t kAlignment = 16;  // floats: one cache line, one AVX-512 vector

int64_t Elements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

}  // namespace

std::unique_ptr<DeviceOp> Node::BindDevice(const OpContext&) const { return nullptr; }

GraphBuilder::GraphBuilder(std::vector<int64_t> input_shape, bool tokens) {
  const int64_t width = Elements(input_shape);
  graph_.values.push_back({std::move(input_shape), width, tokens});
}

int GraphBuilder::Append(std::unique_ptr<Node> node, std::vector<int> inputs, std::vector<int64_t> shape,
                         std::vector<int> parameters) {
  const int64_t width = Elements(shape);
  const int output = static_cast<int>(graph_.values.size());
  graph_.values.push_back({std::move(shape), width, false});
  node->inputs = std::move(inputs);
  node->output = output;
  node->parameters = std::move(parameters);
  graph_.nodes.push_back(std::move(node));
  return output;
}

int GraphBuilder::AddParameter(std::string name, std::vector<int64_t> shape, bool decays,
                               Initializer initializer) {
  Parameter parameter;
  parameter.size = Elements(shape);
  parameter.name = std::move(name);
  parameter.shape = std::move(shape);
  parameter.decays = decays;
  graph_.parameters.push_back(std::move(parameter));
  graph_.initializers.push_back(initializer);
  return static_cast<int>(graph_.parameters.size()) - 1;
}

int GraphBuilder::AddStatistic(std::string name, std::vector<int64_t> shape, double momentum,
                               double first_value) {
  const int number =
      AddParameter(std::move(name), std::move(shape), false, {first_value, Initializer::kConstant});
  graph_.parameters[number].kind = Parameter::kStatistic;
  graph_.parameters[number].momentum = momentum;
  return number;
}

void GraphBuilder::KeepForBackward(int output, int value) {
  for (const auto& node : graph_.nodes) {
    if (node->output == output) node->kept = value;
  }
}

// The loss turns the output into its gradient, in place: a node whose backward reads its output needs a copy.
int GraphBuilder::OutputForLoss(int output) {
  for (const auto& node : graph_.nodes) {
    if (node->output != output || !node->BackwardReadsOutput()) continue;
    const std::string name = node->name() + ".copy";
    return AppendReshape(*this, name, output, shape(output));
  }
  return output;
}

std::shared_ptr<const Model> GraphBuilder::Build(int output, v1::Loss loss) && {
  output = OutputForLoss(output);
  int64_t offset = 0;
  for (auto parameter = graph_.parameters.rbegin(); parameter != graph_.parameters.rend(); ++parameter) {
    parameter->offset = offset;
    offset += (parameter->size + kAlignment - 1) / kAlignment * kAlignment;
  }
  graph_.flat_size = offset;
  const Node* last = nullptr;  // the output layer
  for (const auto& node : graph_.nodes) {
    if (!node->parameters.empty()) last = node.get();
  }
  for (Parameter& parameter : graph_.parameters) {
    parameter.hidden_matrix =
        parameter.kind == Parameter::kWeight && parameter.shape.size() == 2 && parameter.decays;
  }
  for (const auto& node : graph_.nodes) {
    if (node.get() != last && node->kind() != "embedding") continue;
    for (const int number : node->parameters) graph_.parameters[number].hidden_matrix = false;
  }
  graph_.output = output;
  graph_.loss = loss;
  return std::make_shared<GraphModel>(std::move(graph_));
}

int GraphModel::positions() const {
  const Value& output = graph_.values[graph_.output];
  return static_cast<int>(output.width / output.shape.back());
}

int64_t GraphModel::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& parameter : graph_.parameters) {
    if (parameter.kind == Parameter::kWeight) count += parameter.size;
  }
  return count;
}

std::vector<LayerSummary> GraphModel::Layers() const {
  std::vector<LayerSummary> layers;
  std::vector<bool> counted(graph_.parameters.size(), false);
  for (const auto& node : graph_.nodes) {
    LayerSummary& layer = layers.emplace_back();
    layer.name = node->name();
    layer.kind = node->kind();
    layer.output_shape = graph_.values[node->output].shape;
    layer.flops = node->Flops();
    for (const int number : node->parameters) {
      if (graph_.parameters[number].kind == Parameter::kWeight && !counted[number]) {
        layer.parameters += graph_.parameters[number].size;
      }
      counted[number] = true;
    }
  }
  return layers;
}

namespace {

// Fills out[begin, end) of a parameter; begin is a multiple of 4.
void Fill(const Initializer& from, uint64_t seed, uint64_t stream, int64_t begin, int64_t end, float* out) {
  const float value = static_cast<float>(from.value);
  if (from.kind == Initializer::kConstant) return std::fill(out + begin, out + end, value);
  for (int64_t i = begin; i < end; i += 4) {
    const PhiloxBlock block = Philox(seed, stream, static_cast<uint64_t>(i / 4));
    if (from.kind == Initializer::kUniform) {
      for (int64_t k = 0; k < 4 && i + k < end; ++k) {
        out[i + k] = value * (2.0f * UniformFromBits(block.value[k]) - 1.0f);
      }
      continue;
    }
    for (int64_t pair = 0; pair < 4 && i + pair < end; pair += 2) {  // Box-Muller in double
      const double u = 1.0 - UniformFromBits(block.value[pair]);
      const double angle = 2.0 * M_PI * UniformFromBits(block.value[pair + 1]);
      const double radius = from.value * std::sqrt(-2.0 * std::log(u));
      out[i + pair] = static_cast<float>(radius * std::cos(angle));
      if (i + pair + 1 < end) out[i + pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
}

}  // namespace

void GraphModel::Initialize(uint64_t seed, float* weights) const {
  std::fill(weights, weights + graph_.flat_size, 0.0f);
  // A large model's first weights are worth a thread for each core.
  const bool large = graph_.flat_size > (int64_t{1} << 20);
  Team team(large ? static_cast<int>(std::thread::hardware_concurrency()) : 1);
  team.Run([&](const Member& member) {
    for (size_t p = 0; p < graph_.parameters.size(); ++p) {
      const Parameter& parameter = graph_.parameters[p];
      const uint64_t stream = (uint64_t{static_cast<uint32_t>(RandomPurpose::kWeights)} << 56) | p;
      const Range share = member.Share(parameter.size, 4);
      Fill(graph_.initializers[p], seed, stream, share.begin, share.end, weights + parameter.offset);
    }
  });
}

}  // namespace lockstep::engine
