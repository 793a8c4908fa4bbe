#include "worker/engine/graph.h"

#include <algorithm>

#include "common/numerics/philox.h"

namespace lockstep::engine {
namespace {

constexpr int64_t kAlignment = 16;  // floats: one cache line, one AVX-512 vector

int64_t Elements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

}  // namespace

GraphBuilder::GraphBuilder(std::vector<int64_t> input_shape) {
  const int64_t width = Elements(input_shape);
  graph_.values.push_back({std::move(input_shape), width});
}

int GraphBuilder::Append(std::unique_ptr<Node> node, int input, std::vector<int64_t> shape) {
  const int64_t width = Elements(shape);
  const int output = static_cast<int>(graph_.values.size());
  graph_.values.push_back({std::move(shape), width});
  node->input = input;
  node->output = output;
  graph_.nodes.push_back(std::move(node));
  return output;
}

int GraphBuilder::AddParameter(std::string name, std::vector<int64_t> shape, bool decays,
                               Initializer initializer) {
  const int64_t size = Elements(shape);
  graph_.parameters.push_back({std::move(name), std::move(shape), 0, size, decays});
  graph_.initializers.push_back(initializer);
  return static_cast<int>(graph_.parameters.size()) - 1;
}

std::shared_ptr<const Model> GraphBuilder::Build(int output, v1::Loss loss) && {
  int64_t offset = 0;
  for (auto parameter = graph_.parameters.rbegin(); parameter != graph_.parameters.rend(); ++parameter) {
    parameter->offset = offset;
    offset += (parameter->size + kAlignment - 1) / kAlignment * kAlignment;
  }
  graph_.flat_size = offset;
  graph_.output = output;
  graph_.loss = loss;
  return std::make_shared<GraphModel>(std::move(graph_));
}

int64_t GraphModel::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& parameter : graph_.parameters) count += parameter.size;
  return count;
}

void GraphModel::Initialize(uint64_t seed, float* weights) const {
  std::fill(weights, weights + graph_.flat_size, 0.0f);
  for (size_t p = 0; p < graph_.parameters.size(); ++p) {
    const Parameter& parameter = graph_.parameters[p];
    const float bound = static_cast<float>(graph_.initializers[p].bound);
    const uint64_t stream = (uint64_t{static_cast<uint32_t>(RandomPurpose::kWeights)} << 56) | p;
    for (int64_t i = 0; i < parameter.size; ++i) {
      const PhiloxBlock block = Philox(seed, stream, static_cast<uint64_t>(i / 4));
      weights[parameter.offset + i] = bound * (2.0f * UniformFromBits(block.value[i % 4]) - 1.0f);
    }
  }
}

}  // namespace lockstep::engine
