// Graphs that spell built-in models out are those models, bit for bit; others are refused with the layer's
// name.
#include "worker/models/graph_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "absl/strings/str_format.h"
#include "worker/engine/team.h"
#include "worker/models/graph_job.h"

namespace lockstep::engine::graph_model_test {
namespace {

using ::testing::HasSubstr;

std::string Graph(const std::string& layers) { return "{ graph: { layers: [" + layers + "] } }"; }
std::string Graph(const std::string& input_shape, const std::string& layers) {
  return "{ graph: { input_shape: [" + input_shape + "], layers: [" + layers + "] } }";
}

struct Twin {
  std::string name, built_in, graph;
  int features, outputs;
  v1::Task task = v1::TASK_CLASSIFICATION;
  bool same_names = true;
  friend void PrintTo(const Twin& twin, std::ostream* out) { *out << twin.name; }
};

Twin Mlp() {
  return {
      "Mlp", "{ mlp: { hidden: [9, 6], activation: gelu, dropout: 0.2 } }",
      Graph(
          "{name: layers.0, linear: {width: 9, activation: gelu}}, {name: dropout.0, dropout: {probability: "
          "0.2}}, {name: layers.1, linear: {width: 6, activation: gelu}}, {name: dropout.1, dropout: "
          "{probability: 0.2}}, {name: layers.2, linear: {}}"),
      7, 3};
}

Twin Autoencoder() {
  return {
      "Autoencoder",
      "{ autoencoder: { hidden: [5, 2], activation: tanh } }",
      Graph("{name: encoder.0, linear: {width: 5, activation: tanh}}, {name: encoder.1, linear: {width: 2}}, "
            "{name: decoder.0, linear: {width: 5, activation: tanh}}, {name: decoder.1, linear: {}}"),
      6,
      6,
      v1::TASK_RECONSTRUCTION};
}

Twin Cnn() {
  const std::string layers =
      "{conv: {channels: 6, kernel: 2, activation: gelu}}, {conv: {channels: 18, padding: 1, groups: 2, "
      "activation: relu}}, {max_pool: {}}, {batch_norm: {activation: relu}}, {conv: {channels: 17, stride: "
      "2, "
      "padding: 1, bias: false}}, {activation: tanh}, {dropout: {probability: 0.3}}, {linear: {width: 7}}, "
      "{batch_norm: {activation: silu}}";
  return {"Cnn", "{ cnn: { input_shape: [9, 8, 2], layers: [" + layers + "] } }",
          Graph("9, 8, 2", layers + ", {name: output, linear: {}}"), 9 * 8 * 2, 4};
}

std::string Convolution(const std::string& name, const std::string& input, int channels, int kernel,
                        int stride) {
  return absl::StrFormat(
      "{name: %s, inputs: [%s], conv: {channels: %d, kernel: %d, stride: %d, padding: %d, bias: false, "
      "initializer: {normal: %.17g}}}, ",
      name, input, channels, kernel, stride, kernel / 2, std::sqrt(2.0 / (channels * kernel * kernel)));
}
std::string Norm(const std::string& name, const std::string& inputs, bool relu) {
  return absl::StrFormat("{name: %s, inputs: [%s], batch_norm: {%s}}, ", name, inputs,
                         relu ? "activation: relu" : "");
}

Twin ResNet() {
  std::string layers = Convolution("conv1", "input", 5, 3, 1) + Norm("bn1", "conv1", true), x = "bn1";
  int channels = 5;
  for (const std::string block : {"layer1.0", "layer2.0", "layer3.0"}) {
    const int stride = block == "layer1.0" ? 1 : 2;
    std::string shortcut = x;
    layers += Convolution(block + ".conv1", x, channels, 3, stride) +
              Norm(block + ".bn1", block + ".conv1", true) +
              Convolution(block + ".conv2", block + ".bn1", channels, 3, 1);
    if (stride > 1) {
      layers += Convolution(block + ".downsample.0", x, channels, 1, stride);
      shortcut = block + ".downsample.1";
      layers += Norm(shortcut, block + ".downsample.0", false);
    }
    x = block + ".bn2";
    layers += Norm(x, block + ".conv2, " + shortcut, true);
    channels *= 2;
  }
  return {"ResNet", "{ resnet: { input_shape: [6, 7, 2], depth: 8, width: 5 } }",
          Graph("6, 7, 2", layers + "{name: avgpool, global_average_pool: {}}, {name: fc, linear: {}}"),
          6 * 7 * 2, 4};
}

std::string Linear(const std::string& name, const std::string& input, const std::string& fields,
                   double deviation) {
  return absl::StrFormat("{name: %s, inputs: [%s], linear: {%s, initializer: {normal: %.17g}}}, ", name,
                         input, fields, deviation);
}
std::string Drop(const std::string& name) { return "{name: " + name + ", dropout: {probability: 0.1}}, "; }
std::string Add(const std::string& name, const std::string& a, const std::string& b) {
  return "{name: " + name + ", inputs: [" + a + ", " + b + "], add: {}}, ";
}

Twin Gpt(bool tied) {
  std::string layers =
      "{name: wte, embedding: {width: 12, positions: 6, initializer: {normal: 0.02}}}, " + Drop("drop");
  std::string x = "drop";
  const double residual = 0.02 / std::sqrt(4.0);
  for (const std::string h : {"h.0", "h.1"}) {
    const std::string attn = h + ".attn", mlp = h + ".mlp";
    layers += "{name: " + h + ".ln_1, inputs: [" + x + "], layer_norm: {}}, ";
    layers += Linear(attn + ".c_attn", h + ".ln_1", "width: 36", 0.02);
    layers += "{name: " + attn + ", attention: {heads: 3, projections: false}}, ";
    layers += Linear(attn + ".c_proj", attn, "width: 12", residual) + Drop(attn + ".resid_dropout");
    layers += Add(h + ".add_1", x, attn + ".resid_dropout");
    layers += "{name: " + h + ".ln_2, layer_norm: {}}, ";
    layers += Linear(mlp + ".c_fc", h + ".ln_2", "width: 48, activation: gelu", 0.02);
    layers += Linear(mlp + ".c_proj", mlp + ".c_fc", "width: 12", residual) + Drop(mlp + ".dropout");
    layers += Add(h + ".add_2", h + ".add_1", mlp + ".dropout");
    x = h + ".add_2";
  }
  layers += "{name: ln_f, layer_norm: {}}, ";
  layers += tied ? "{name: lm_head, linear: {tied: wte}}"
                 : "{name: lm_head, linear: {bias: false, initializer: {normal: 0.02}}}";
  return {tied ? "GptTied" : "Gpt",
          absl::StrFormat(
              "{ gpt: { layers: 2, heads: 3, width: 12, context: 6, dropout: 0.1, tie_weights: %s } }",
              tied ? "true" : "false"),
          Graph(layers),
          4,
          11,
          v1::TASK_LANGUAGE_MODEL,
          false};
}

Twin Llama() {
  std::string layers = "{name: model.embed_tokens, embedding: {width: 8, initializer: {normal: 0.02}}}, ";
  const std::string h = "model.layers.0", attn = h + ".self_attn", mlp = h + ".mlp";
  const std::string normal = h + ".input_layernorm", late = h + ".post_attention_layernorm";
  const auto proj = [&](const std::string& name, const std::string& input, int width) {
    return Linear(name, input, absl::StrFormat("bias: false, width: %d", width), 0.02);
  };
  const auto rope = [](const std::string& name, int heads) {
    return absl::StrFormat("{name: %s.rope, rope: {heads: %d, theta: 100}}, ", name, heads);
  };
  layers += "{name: " + normal + ", rms_norm: {}}, ";
  layers += proj(attn + ".q_proj", normal, 8) + rope(attn + ".q_proj", 4);
  layers += proj(attn + ".k_proj", normal, 4) + rope(attn + ".k_proj", 2);
  layers += proj(attn + ".v_proj", normal, 4);
  layers += "{name: " + attn + ", inputs: [" + attn + ".q_proj.rope, " + attn + ".k_proj.rope, " + attn +
            ".v_proj], attention: {heads: 4, key_value_heads: 2, projections: false}}, ";
  layers += proj(attn + ".o_proj", attn, 8) + Add(h + ".add_1", "model.embed_tokens", attn + ".o_proj");
  layers += "{name: " + late + ", rms_norm: {}}, ";
  layers += proj(mlp + ".gate_proj", late, 10) + proj(mlp + ".up_proj", late, 10);
  layers += "{name: " + mlp + ", inputs: [" + mlp + ".gate_proj, " + mlp + ".up_proj], swiglu: {}}, ";
  layers += proj(mlp + ".down_proj", mlp, 8) + Add(h + ".add_2", h + ".add_1", mlp + ".down_proj");
  layers +=
      "{name: model.norm, rms_norm: {}}, {name: lm_head, linear: {bias: false, initializer: {normal: 0.02}}}";
  return {"Llama",
          "{ llama: { layers: 1, heads: 4, key_value_heads: 2, width: 8, hidden: 10, context: 6, rope_theta: "
          "100 } }",
          Graph(layers),
          4,
          11,
          v1::TASK_LANGUAGE_MODEL};
}

Twin RecurrentText(const std::string& kind) {
  return {kind + "Text",
          "{ " + kind + ": { hidden: 7, layers: 2, dropout: 0.2, embedding: 5, context: 4 } }",
          Graph("{name: embedding, embedding: {width: 5}}, {" + kind +
                ": {hidden: 7}}, {dropout: {probability: 0.2}}, {" + kind + ": {hidden: 7}}, {linear: {}}"),
          4,
          11,
          v1::TASK_LANGUAGE_MODEL,
          false};
}

Twin RecurrentNumbers(const std::string& kind) {
  return {kind + "Numbers", "{ " + kind + ": { hidden: 7, sequence_length: 5 } }",
          Graph("5, 3", "{name: " + kind + ", " + kind +
                            ": {hidden: 7}}, {name: last, last: {}}, {name: output, linear: {}}"),
          15, 4};
}

class GraphTwin : public testing::TestWithParam<Twin> {};
INSTANTIATE_TEST_SUITE_P(Models, GraphTwin,
                         testing::Values(Mlp(), Autoencoder(), Cnn(), ResNet(), Gpt(true), Gpt(false),
                                         Llama(), RecurrentText("lstm"), RecurrentText("gru"),
                                         RecurrentNumbers("lstm"), RecurrentNumbers("gru")),
                         [](const auto& test) { return test.param.name; });

TEST_P(GraphTwin, IsNotTheBuiltInModel) {
  const Twin& twin = GetParam();
  const GraphJob built_in(twin.built_in, twin.features, twin.outputs, twin.task);
  const GraphJob graph(twin.graph, twin.features, twin.outputs, twin.task);
  ASSERT_TRUE(built_in.model != nullptr && graph.model != nullptr);
  ASSERT_EQ(graph.model->parameters().size(), built_in.model->parameters().size());
  for (size_t i = 0; i < graph.model->parameters().size(); ++i) {
    const Parameter &a = graph.model->parameters()[i], &b = built_in.model->parameters()[i];
    EXPECT_TRUE(!twin.same_names || a.name == b.name) << a.name << ", " << b.name;
    EXPECT_EQ(a.shape, b.shape) << a.name;
    EXPECT_EQ(a.offset, b.offset) << a.name;
    EXPECT_EQ(a.decays, b.decays) << a.name;
    EXPECT_EQ(a.kind, b.kind) << a.name;
    EXPECT_EQ(a.hidden_matrix, b.hidden_matrix) << a.name;
  }
  EXPECT_EQ(graph.weights, built_in.weights) << "the first weights";
  EXPECT_EQ(*ExecutorBytes(*graph.model, graph.Options({0, GraphJob::kShards}, nullptr)),
            *ExecutorBytes(*built_in.model, built_in.Options({0, GraphJob::kShards}, nullptr)))
      << "another plan";
  const std::vector<float> expected = built_in.Gradient(built_in.weights),
                           got = graph.Gradient(graph.weights);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

TEST_P(GraphTwin, LayersAreNotInTheSummary) {
  if (!GetParam().same_names) return;
  const GraphJob built_in(GetParam().built_in, GetParam().features, GetParam().outputs, GetParam().task);
  const GraphJob graph(GetParam().graph, GetParam().features, GetParam().outputs, GetParam().task);
  const std::vector<LayerSummary> a = graph.model->Layers(), b = built_in.model->Layers();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].kind, b[i].kind) << a[i].name;
    EXPECT_EQ(a[i].output_shape, b[i].output_shape) << a[i].name;
    EXPECT_EQ(a[i].parameters, b[i].parameters) << a[i].name;
    EXPECT_EQ(a[i].flops, b[i].flops) << a[i].name;
  }
}

TEST(GraphModel, PartsOfAttentionHaveOtherNames) {
  const GraphJob job(
      Graph("{name: tokens, embedding: {width: 8, positions: 5}}, {name: attn, attention: {heads: 4, "
            "key_value_heads: 2, rope_theta: 100}}, {name: head, linear: {tied: tokens}}"),
      4, 11, v1::TASK_LANGUAGE_MODEL);
  std::string table;
  for (const Parameter& parameter : job.model->parameters()) {
    table += parameter.name;
    for (const int64_t extent : parameter.shape) table += " " + std::to_string(extent);
    table += "\n";
  }
  EXPECT_EQ(table,
            "tokens.weight 11 8\ntokens.positions.weight 5 8\nattn.qkv.weight 16 8\nattn.qkv.bias 16\n"
            "attn.output.weight 8 8\nattn.output.bias 8\n");
}

void ExpectError(const std::string& model, int features, const std::string& message, int outputs = 10,
                 v1::Task task = v1::TASK_CLASSIFICATION) {
  const absl::StatusOr<v1::JobSpec> spec = CompletedSpec(model, task);
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto built = BuildModel(*spec, features, outputs, task);
  ASSERT_EQ(built.status().code(), absl::StatusCode::kInvalidArgument) << model;
  EXPECT_THAT(std::string(built.status().message()), HasSubstr(message));
}

constexpr char kAffine[] = ", {name: head, linear: {}}";

TEST(GraphModel, LayerOfAnImageThatDoesNotFitIsTaken) {
  const auto error = [](const std::string& layers, const std::string& message) {
    ExpectError(Graph("6, 6, 4", layers + kAffine), 144, "model.graph.layers" + message);
  };
  error("{conv: {channels: 8}}, {max_pool: {}}, {name: late, conv: {channels: 8, kernel: 5}}",
        "[2] (late): kernel 5 does not fit in 2x2");
  error("{conv: {channels: 6, groups: 3}}", "[0] (conv.0): groups 3 does not divide the 4 channels");
  error("{flatten: {}}, {name: late, conv: {channels: 6}}",
        "[1] (late): expected an image (height x width x channels), got 144 from 'flatten.0'");
  error("{flatten: {}}, {global_average_pool: {}}", "[1] (global_average_pool.1): expected an image");
  error("{name: a, conv: {channels: 4}}, {name: b, batch_norm: {}, inputs: [a, input]}",
        "[1] (b): expected inputs of one shape, got 4x4x4 from 'a' and 6x6x4 from 'input'");
}

TEST(GraphModel, LayerOfASequenceThatDoesNotFitIsTaken) {
  const auto error = [](const std::string& layers, const std::string& message) {
    ExpectError(Graph("5, 6", layers + ", {last: {}}" + kAffine), 30, "model.graph.layers" + message);
  };
  error("{attention: {heads: 4}}",
        "[0] (attention.0): 4 heads do not divide the width 6, of 5x6 from 'input'");
  error("{attention: {heads: 2, rope_theta: 10}}",
        "[0] (attention.0): a head is 3 columns wide (6 / 2 heads)");
  error("{attention: {heads: 2, key_value_heads: 1, projections: false}}",
        "[0] (attention.0): expected query, key and value side by side, a width divisible by 4 (2 + 2 x 1");
  error(
      "{name: q, linear: {width: 8}}, {name: a, inputs: [q, input, input], attention: {heads: 4, "
      "key_value_heads: 2, projections: false}}",
      "[1] (a): expected a key of 5x4 (2 heads of 2 columns for each of 5 steps), got 5x6 from 'input'");
  error("{rope: {heads: 2}}", "[0] (rope.0): a head is 3 columns wide");
  error("{rope: {heads: 5}}", "[0] (rope.0): 5 heads do not divide the width 6");
  error("{last: {}}, {name: memory, lstm: {hidden: 4}}",
        "[1] (memory): expected a sequence (steps x width), got 6 from 'last.0'");
  error("{last: {}}", "[1] (last.1): expected a sequence");
}

TEST(GraphModel, LayerOfShapesThatDoesNotFitIsTaken) {
  const auto error = [](const std::string& layers, const std::string& message) {
    ExpectError(Graph("5, 6", "{name: a, linear: {width: 4}}, " + layers + ", {flatten: {}}" + kAffine), 30,
                "model.graph.layers[1] " + message);
  };
  error("{name: sum, inputs: [a, input], add: {}}",
        "(sum): expected inputs of one shape, got 5x4 from 'a' and 5x6 from 'input'");
  error("{name: gate, inputs: [a, input], swiglu: {}}", "(gate): expected inputs of one shape");
  error("{name: both, inputs: [a, input], concat: {axis: 0}}",
        "(both): expected inputs that differ in axis 0 alone, got 5x4 from 'a' and 5x6 from 'input'");
  error("{name: both, inputs: [a, input], concat: {axis: 2}}",
        "(both): expected an axis from -2 to 1 for 5x4 from 'a', got 2");
  error("{reshape: {shape: [3, 7]}}", "(reshape.1): cannot make 3x7 of the 20 elements of 5x4 from 'a'");
  error("{reshape: {shape: [3, -1]}}", "(reshape.1): cannot make 3x-1 of the 20 elements");
  error("{reshape: {shape: [2147483648, 2147483648, 2147483648]}}", "(reshape.1): cannot make");
  error("{transpose: {axes: [0, 2, 1]}}", "(transpose.1): expected an order of 2 axes");
}

TEST(GraphModel, OutputThatIsNotTheTasksIsTaken) {
  ExpectError(
      Graph("{name: top, linear: {width: 9}}"), 5,
      "model.graph.layers[0] (top): is the output, for which expected 10 (a score for each class of the "
      "label), got 9; a linear layer without a width");
  ExpectError(Graph("5, 6", "{name: top, linear: {}}"), 30,
              "(top): is the output, for which expected 10 (a score for each class of the label), got 5x10; "
              "put last");
  ExpectError(Graph("{linear: {width: 9}}"), 5, "expected 2 (a value for each target), got 9", 2,
              v1::TASK_REGRESSION);
  ExpectError(Graph("{linear: {width: 9}}"), 5, "expected 5 (the features again), got 9", 5,
              v1::TASK_RECONSTRUCTION);
  ExpectError(Graph("{embedding: {width: 8}}, {linear: {width: 9}}"), 4,
              "expected 4x10 (steps x the dataset's vocabulary, or more), got 4x9", 10,
              v1::TASK_LANGUAGE_MODEL);
  ExpectError(Graph("4, 2", "{linear: {}}"), 9, "model.graph.input_shape: expected a shape of 9 values");
  ExpectError(Graph("{activation: relu}"), 10, "no layer has weights");
  ExpectError(Graph("4, 2", "{name: attn, attention: {heads: 2}}, {name: attn.qkv, last: {}}, {linear: {}}"),
              8, "two of them give the name 'attn.qkv'");
}

TEST(GraphModel, ReshapeThatKeepsTheStepsOfATextIsRefused) {
  for (const std::string shape : {"[-1, 2, 4]", "[4, -1]"}) {
    const GraphJob job(Graph("{embedding: {width: 8}}, {reshape: {shape: " + shape +
                             "}}, {reshape: {shape: [-1, 8]}}, {transpose: {axes: [0, 1]}}, {linear: {}}"),
                       4, 11, v1::TASK_LANGUAGE_MODEL);
    EXPECT_NE(job.model, nullptr) << shape;
  }
}

TEST(GraphModel, ValueThatDoublesForEverIsTaken) {
  std::string layers = "{name: n0, linear: {width: 1000}}";
  for (int i = 1; i < 70; ++i) {
    const std::string x = "n" + std::to_string(i - 1);
    layers += ", {name: n" + std::to_string(i) + ", inputs: [" + x + ", " + x + "], concat: {}}";
  }
  ExpectError(Graph(layers + kAffine), 5, "model.graph.layers[22] (n22): its output has 4194304000 elements");
}

TEST(GraphModel, TextThatDoesNotFitIsTaken) {
  const auto error = [](const std::string& layers, const std::string& message) {
    ExpectError(Graph(layers), 4, "model.graph.layers" + message, 11, v1::TASK_LANGUAGE_MODEL);
  };
  const std::string table = "{name: tokens, embedding: {width: 8}}, ";
  error("{name: tokens, embedding: {width: 8, vocabulary: 10}}, {linear: {}}",
        "[0] (tokens): vocabulary 10 is smaller than the dataset's, which has 11 tokens");
  error(table +
            "{name: early, inputs: [input], linear: {width: 8}}, {inputs: [tokens, early], add: {}}, "
            "{linear: {}}",
        "[1] (early): expected numbers, got the text's tokens");
  error(table + "{name: again, embedding: {width: 8}}, {linear: {}}",
        "[1] (again): expected tokens, which the input of a text is, got 4x8 from 'tokens'");
  error(table + "{attention: {heads: 2, causal: false}}, {linear: {}}",
        "[1] (attention.1): attention.causal: false lets a step see the tokens after it");
  for (const std::string mixer :
       {"transpose: {axes: [1, 0]}", "reshape: {shape: [8, 4]}", "reshape: {shape: [32]}", "last: {}",
        "flatten: {}", "global_average_pool: {}"}) {
    error(table + "{name: mixer, " + mixer + "}, {linear: {}}", "[1] (mixer): mixes the steps of a text");
  }
  error(table + "{inputs: [tokens, tokens], concat: {axis: 0}}, {linear: {}}",
        "[1] (concat.1): mixes the steps");
  error(table + "{linear: {width: 6}}, {name: top, linear: {tied: tokens}}",
        "[2] (top): the table of 'tokens' has rows of 8, but the input is 4x6 from 'linear.1'");
  // A window that is longer than the positions, as the generator may ask for.
  const absl::StatusOr<v1::JobSpec> spec = CompletedSpec(
      Graph("{name: tokens, embedding: {width: 8, positions: 4}}, {linear: {}}"), v1::TASK_LANGUAGE_MODEL);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(std::string(BuildModel(*spec, 5, 11, v1::TASK_LANGUAGE_MODEL).status().message()),
              HasSubstr("[0] (tokens): positions 4 are fewer than the 5 tokens of a sample"));
}

}  // namespace
}  // namespace lockstep::engine::graph_model_test
