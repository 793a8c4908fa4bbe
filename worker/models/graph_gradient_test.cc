// Gradients of graphs that no built-in model is: operations in any position, values with many readers,
// outputs that their own backward reads; and of random graphs, so that no plan of their memory goes untried.
// Against finite differences, and bit for bit between ranks and threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "worker/engine/team.h"
#include "worker/models/graph_job.h"

namespace lockstep::engine::graph_gradient_test {
namespace {

struct Case {
  const char* name;
  const char* graph;
  int features, outputs;
  v1::Task task = v1::TASK_CLASSIFICATION;
  friend void PrintTo(const Case& at, std::ostream* out) { *out << at.name; }
};

// 4 steps of 6 numbers, or 4 tokens of 7, or images of 4 x 4 x 2.
const Case kCases[] = {
    // Nothing before them learns.
    {"SwiGluOfGateThatDoesNotLearn",
     "{ input_shape: [4, 6], layers: [{name: up, linear: {width: 6}}, {inputs: [input, up], swiglu: {}}, "
     "{last: {}}, "
     "{linear: {}}] }",
     24, 3},
    {"SwiGluOfUpThatDoesNotLearn",
     "{ input_shape: [4, 6], layers: [{name: gate, linear: {width: 6}}, {inputs: [gate, input], swiglu: {}}, "
     "{last: "
     "{}}, {linear: {}}] }",
     24, 3},
    {"SwiGluOfInput",
     "{ input_shape: [4, 6], layers: [{inputs: [input, input], swiglu: {}}, {last: {}}, {linear: {}}] }", 24,
     3},
    {"QueryAloneLearns",
     "{ input_shape: [4, 6], layers: [{name: q, linear: {width: 6}}, {inputs: [q, input, input], attention: "
     "{heads: 2, "
     "projections: false}}, {global_average_pool: {}}, {linear: {}}] }",
     24, 3},
    {"KeyAloneLearns",
     "{ input_shape: [4, 6], layers: [{name: k, linear: {width: 6}}, {inputs: [input, k, input], attention: "
     "{heads: 2, "
     "projections: false}}, {global_average_pool: {}}, {linear: {}}] }",
     24, 3},
    {"ValueAloneLearns",
     "{ input_shape: [4, 6], layers: [{name: v, linear: {width: 3}}, {name: k, linear: {width: 3}, inputs: "
     "[input]}, "
     "{inputs: [input, k, v], attention: {heads: 2, key_value_heads: 1, projections: false}}, {flatten: {}}, "
     "{linear: "
     "{}}] }",
     24, 3},
    {"AttentionOfInput",
     "{ input_shape: [4, 6], layers: [{attention: {heads: 1, projections: false}}, {last: {}}, {linear: {}}] "
     "}",
     24, 3},
    {"AttentionWithProjectionsFirst",
     "{ input_shape: [4, 6], layers: [{attention: {heads: 3, key_value_heads: 1, rope_theta: 10}}, {flatten: "
     "{}}, "
     "{linear: {}}] }",
     24, 3},
    {"OneValueIsQueryKeyAndValue",
     "{ input_shape: [4, 6], layers: [{name: x, linear: {width: 6}}, {inputs: [x, x, x], attention: {heads: "
     "2, "
     "causal: true, projections: false}}, {inputs: [x, attention.1], add: {}}, {last: {}}, {linear: {}}] }",
     24, 3},
    {"SwiGluOfOneValue",
     "{ input_shape: [4, 6], layers: [{name: x, linear: {width: 6}}, {inputs: [x, x], swiglu: {}}, {inputs: "
     "[x, "
     "swiglu.1], add: {}}, {last: {}}, {linear: {}}] }",
     24, 3},
    {"RopeDropoutAndActivationsShareAnInput",
     "{ input_shape: [4, 6], layers: [{name: x, linear: {width: 6}}, {name: r, rope: {heads: 3}}, {name: a, "
     "inputs: "
     "[x], activation: silu}, {name: d, inputs: [x], activation: sigmoid}, {name: t, inputs: [x], "
     "activation: tanh}, "
     "{name: g, inputs: [x], activation: gelu}, {name: u, inputs: [x], activation: relu}, {inputs: [r, a, d, "
     "t, g, "
     "u, x], concat: {axis: 0}}, {flatten: {}}, {linear: {}}] }",
     24, 3},
    {"AddOfOneValue",
     "{ layers: [{name: x, linear: {width: 5}}, {inputs: [x, x], add: {}}, {inputs: [add.1, x], add: {}}, "
     "{linear: "
     "{}}] }",
     6, 3},
    {"BatchNormOfItsOwnResidual",
     "{ input_shape: [4, 4, 2], layers: [{name: x, conv: {channels: 3}}, {inputs: [x, x], batch_norm: "
     "{activation: "
     "relu}}, {batch_norm: {activation: gelu}, inputs: [batch_norm.1, x]}, {linear: {}}] }",
     32, 3},
    {"BatchNormOfInputAndItself",
     "{ input_shape: [4, 4, 2], layers: [{inputs: [input, input], batch_norm: {activation: relu}}, {linear: "
     "{}}] }",
     32, 3},
    {"PoolsOfOneValue",
     "{ input_shape: [4, 4, 2], layers: [{name: x, conv: {channels: 3, padding: 1}}, {name: m, max_pool: "
     "{}}, {name: "
     "a, inputs: [x], average_pool: {}}, {name: g, inputs: [x], global_average_pool: {}}, {inputs: [m, a], "
     "concat: "
     "{}}, {name: f, flatten: {}}, {inputs: [f, g], concat: {}}, {linear: {}}] }",
     32, 3},
    // The loss turns the output into its gradient.
    {"OutputIsAnActivation",
     "{ layers: [{linear: {width: 5, activation: tanh}}, {linear: {activation: sigmoid}}] }", 6, 3},
    {"OutputIsReluOfRegression", "{ layers: [{linear: {width: 5}}, {linear: {activation: relu}}] }", 6, 2,
     v1::TASK_REGRESSION},
    {"OutputIsAnActivationLayer", "{ layers: [{linear: {width: 3}}, {activation: tanh}] }", 6, 3},
    {"OutputIsALstm", "{ layers: [{embedding: {width: 5}}, {lstm: {hidden: 7}}] }", 4, 7,
     v1::TASK_LANGUAGE_MODEL},
    {"OutputIsAttention",
     "{ layers: [{embedding: {width: 21, positions: 4}}, {attention: {heads: 1, projections: false}}] }", 4,
     7, v1::TASK_LANGUAGE_MODEL},
    {"OutputIsABatchNormWithResidual",
     "{ layers: [{name: x, linear: {width: 3}}, {inputs: [x, x], batch_norm: {activation: relu}}] }", 6, 3},
    {"OutputIsASum",
     "{ layers: [{name: x, linear: {width: 3}}, {name: y, inputs: [input], linear: {width: 3}}, {inputs: "
     "[x, y], add: {}}] }",
     6, 3},
    {"OutputIsAResidualOfItsOwn",
     "{ layers: [{name: x, linear: {width: 3, activation: relu}}, {activation: tanh}, "
     "{inputs: [x, activation.1], add: {}}] }",
     6, 3},
    {"TiedWithPositions",
     "{ layers: [{name: t, embedding: {width: 8, positions: 6}}, {attention: {heads: 2, rope_theta: 50}}, "
     "{inputs: "
     "[t, attention.1], add: {}}, {rms_norm: {}}, {linear: {tied: t}}] }",
     4, 7, v1::TASK_LANGUAGE_MODEL},
    {"TwoEmbeddings",
     "{ layers: [{name: a, embedding: {width: 4}}, {name: b, inputs: [input], embedding: {width: 4}}, "
     "{inputs: [a, b], "
     "concat: {}}, {gru: {hidden: 6}}, {linear: {}}] }",
     4, 7, v1::TASK_LANGUAGE_MODEL},
    {"Reconstruction", "{ layers: [{linear: {width: 3, activation: silu}}, {layer_norm: {}}, {linear: {}}] }",
     6, 6, v1::TASK_RECONSTRUCTION},
};

// The slope of loss(by) at 0 by central differences of fourth order. Large steps suffer from kinks and
// curvature, small ones from float32: the one that agrees best with `expected` counts.
template <typename Loss>
double NearestSlope(const Loss& loss, double largest, double expected) {
  double best = HUGE_VAL;
  for (double h = largest; h > largest / 100; h /= 3) {
    const double slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
    if (std::abs(slope - expected) < std::abs(best - expected)) best = slope;
    if (std::abs(slope - expected) < 1e-4) break;
  }
  return best;
}

class GraphGradient : public testing::TestWithParam<Case> {
 protected:
  GraphGradient()
      : job(std::string("{ graph: ") + GetParam().graph + " }", GetParam().features, GetParam().outputs,
            GetParam().task) {
    if (job.model != nullptr) job.Shake(3);
  }
  GraphJob job;
};
INSTANTIATE_TEST_SUITE_P(Graphs, GraphGradient, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(GraphGradient, DiffersFromFiniteDifferences) {
  ASSERT_NE(job.model, nullptr);
  const std::vector<float> gradient = job.Gradient(job.weights);
  for (const Parameter& parameter : job.model->parameters()) {
    if (parameter.kind != Parameter::kWeight) continue;
    const int64_t stride = parameter.size > 30 ? 5 : 1;
    for (int64_t i = parameter.offset; i < parameter.offset + parameter.size; i += stride) {
      std::vector<float> near = job.weights;
      const auto loss = [&](double by) {
        near[i] = job.weights[i] + static_cast<float>(by);
        return job.Loss(near);
      };
      EXPECT_NEAR(gradient[i], NearestSlope(loss, 2e-2, gradient[i]), 3e-4)
          << parameter.name << "[" << i - parameter.offset << "]";
    }
  }
}

// Sums of all ranks, added in the tree's order.
std::vector<float> SumOfRanks(const GraphJob& job, int world, Team* team) {
  std::vector<TreeNode> nodes;
  std::vector<std::vector<float>> sums;
  const int64_t size = job.model->gradient_size();
  for (int rank = 0; rank < world; ++rank) {
    const ShardRange range = ShardsOfRank(GraphJob::kShards, world, rank);
    const std::vector<float> mine = job.Gradient(job.weights, range, team);
    for (const TreeNode& node : MaximalNodes(GraphJob::kShards, range)) nodes.push_back(node);
    for (int64_t at = 0; at < static_cast<int64_t>(mine.size()); at += size) {
      sums.emplace_back(mine.begin() + at, mine.begin() + at + size);
    }
  }
  const TreeSchedule schedule = ScheduleFor(Root(GraphJob::kShards), GraphJob::kShards, nodes);
  for (const TreeAdd& add : schedule.adds) {
    for (int64_t i = 0; i < size; ++i) sums[add.target][i] += sums[add.source][i];
  }
  return sums[schedule.result];
}

TEST_P(GraphGradient, BitsDependOnTheRanksOrTheThreads) {
  ASSERT_NE(job.model, nullptr);
  const std::vector<float> expected = job.Gradient(job.weights);
  Team three(3);
  for (const int world : {1, 2, 3}) {
    for (Team* team : {static_cast<Team*>(nullptr), &three}) {
      const std::vector<float> sum = SumOfRanks(job, world, team);
      EXPECT_EQ(std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)), 0)
          << world << " ranks, " << (team == nullptr ? 1 : 3) << " threads";
    }
  }
}

// A list of layers over (4, 6), each reading what it likes of those above; what nobody reads is added up. A
// norm's epsilon is large, so that the values of a step that are almost alike are not torn apart.
std::string RandomGraph(uint64_t seed) {
  uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  const auto draw = [&](size_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return static_cast<size_t>((state >> 33) % below);
  };
  std::vector<std::string> names = {"input"}, unread;
  std::string layers;
  const auto pick = [&]() {
    // Rather late ones, so that the graph is deep.
    const std::string name = names[names.size() - 1 - std::min(draw(names.size()), draw(names.size()))];
    std::erase(unread, name);
    return name;
  };
  const auto append = [&](const std::string& operation, const std::vector<std::string>& inputs) {
    std::string list;
    for (const std::string& input : inputs) list += (list.empty() ? "" : ", ") + input;
    const std::string name = "n" + std::to_string(names.size());
    layers += "{name: " + name + ", inputs: [" + list + "], " + operation + "}, ";
    names.push_back(name);
    unread.push_back(name);
    return name;
  };
  for (int i = 0; i < 9; ++i) {
    const std::vector<std::string> kinds = {"linear: {width: 6}",
                                            "linear: {width: 6, activation: tanh}",
                                            "linear: {width: 6, activation: gelu}",
                                            "activation: silu",
                                            "activation: sigmoid",
                                            "layer_norm: {epsilon: 1}",
                                            "rms_norm: {epsilon: 1}",
                                            "batch_norm: {epsilon: 1}",
                                            "add: {}",
                                            "add: {}",
                                            "swiglu: {}",
                                            "batch_norm: {activation: silu, epsilon: 1}",
                                            "attention: {heads: 3}",
                                            "attention: {heads: 3, key_value_heads: 1, projections: false}",
                                            "rope: {heads: 3}",
                                            "lstm: {hidden: 6}",
                                            "gru: {hidden: 6}",
                                            "concat: {axis: 0}",
                                            "transpose: {axes: [1, 0]}",
                                            "reshape: {shape: [6, 4]}"};
    const std::string kind = kinds[draw(kinds.size())];
    const std::string operation = kind.substr(0, kind.find(':'));
    if (operation == "add" || operation == "swiglu") {
      append(kind, {pick(), pick()});
    } else if (kind == "batch_norm: {activation: silu, epsilon: 1}") {
      append(kind, {pick(), pick()});
    } else if (kind.find("projections") != std::string::npos) {
      const std::string q = pick();
      const std::string k = append("linear: {width: 2}", {pick()}),
                        v = append("linear: {width: 2}", {pick()});
      std::erase(unread, k);
      std::erase(unread, v);
      append(kind, {q, k, v});
      // Names of another shape are not to be picked.
      names.erase(names.end() - 3, names.end() - 1);
      names.insert(names.begin(), 2, "input");
    } else if (operation == "concat") {
      const std::string wide = append(kind, {pick(), pick(), pick()});
      std::erase(unread, wide);
      const std::string flat = append("reshape: {shape: [4, 18]}", {wide});
      std::erase(unread, flat);
      append("linear: {width: 6}", {flat});
      names.erase(names.end() - 3, names.end() - 1);
      names.insert(names.begin(), 2, "input");
    } else if (operation == "transpose" || operation == "reshape") {
      const std::string turned = append(kind, {pick()});
      std::erase(unread, turned);
      append("reshape: {shape: [4, 6]}", {turned});
      names.erase(names.end() - 2);
      names.insert(names.begin(), "input");
    } else {
      append(kind, {pick()});
    }
  }
  while (unread.size() > 1) {
    const std::string a = unread.back();
    unread.pop_back();
    const std::string b = unread.back();
    unread.pop_back();
    append("add: {}", {a, b});
  }
  return "{ graph: { input_shape: [4, 6], layers: [" + layers + "{inputs: [" + unread[0] +
         "], flatten: {}}, {linear: {}}] } }";
}

TEST(RandomGraphs, GradientDiffersAlongADirection) {
  Team team(2);
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const std::string yaml = RandomGraph(seed);
    GraphJob job(yaml, 24, 3);
    ASSERT_NE(job.model, nullptr);
    job.Shake(seed);
    const std::vector<float> gradient = job.Gradient(job.weights);
    EXPECT_EQ(job.Gradient(job.weights, {0, GraphJob::kShards}, &team), gradient) << yaml;
    // Each parameter on its own, so that none hides behind another.
    for (const Parameter& parameter : job.model->parameters()) {
      if (parameter.kind != Parameter::kWeight) continue;
      const std::vector<float> random = kernels::Random(parameter.size, -1, 1, seed);
      double expected = 0, norm = 0;
      for (int64_t i = 0; i < parameter.size; ++i) {
        expected += double{gradient[parameter.offset + i]} * random[i];
        norm += double{random[i]} * random[i];
      }
      const auto loss = [&](double by) {
        std::vector<float> near = job.weights;
        for (int64_t i = 0; i < parameter.size; ++i) {
          near[parameter.offset + i] += static_cast<float>(by * random[i]);
        }
        return job.Loss(near);
      };
      const double slope = NearestSlope(loss, 2e-2 / std::sqrt(norm), expected);
      EXPECT_NEAR(expected, slope, 2e-3 * (std::sqrt(norm) + std::abs(slope)))
          << parameter.name << " of " << yaml;
    }
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace lockstep::engine::graph_gradient_test
