// CompleteSpec of graphs: defaults, and what is wrong with a list of layers whatever their shapes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/spec/image_spec.h"
#include "common/spec/message_text.h"
#include "common/spec/spec.h"
#include "common/spec/text_spec.h"

namespace lockstep::graph_spec_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<v1::JobSpec> Read(const std::string& layers, const std::string& more = "",
                                 const std::string& dataset = "{ path: a.csv }") {
  return ParseSpec("dataset: " + dataset + "\nmodel: { graph: { " + more + "layers: [" + layers + "] } }",
                   "job.yaml", "", {});
}

v1::JobSpec Completed(const std::string& layers, const std::string& more = "",
                      const std::string& dataset = "{ path: a.csv }") {
  absl::StatusOr<v1::JobSpec> spec = Read(layers, more, dataset);
  EXPECT_TRUE(spec.ok()) << spec.status();
  if (!spec.ok()) return {};
  const absl::Status status = CompleteSpec(&*spec);
  EXPECT_TRUE(status.ok()) << status;
  return *spec;
}

void ExpectError(const std::string& layers, const std::string& message, const std::string& more = "") {
  absl::StatusOr<v1::JobSpec> spec = Read(layers, more);
  const absl::Status status = spec.ok() ? CompleteSpec(&*spec) : spec.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << layers;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << layers;
}

constexpr char kText[] = "{ path: a.txt, text: { sequence_length: 8 } }";

TEST(CompleteGraph, DefaultsAreNotFilled) {
  const v1::JobSpec spec = Completed(
      "{linear: {width: 8}}, {name: side, inputs: [input], linear: {width: 8}}, {inputs: [linear.0, side], "
      "add: {}}, "
      "{attention: {heads: 4}}, {layer_norm: {}}, {lstm: {hidden: 3}}, {rope: {heads: 2}}, {concat: {}, "
      "inputs: "
      "[rope.6, rope.6]}, {linear: {}}");
  const v1::GraphSpec& graph = spec.model().graph();
  EXPECT_EQ(spec.name(), "graph");
  EXPECT_EQ(graph.layers(0).name(), "linear.0");
  EXPECT_THAT(graph.layers(0).inputs(), ElementsAre("input"));
  EXPECT_THAT(graph.layers(1).inputs(), ElementsAre("input"));
  EXPECT_THAT(graph.layers(3).inputs(), ElementsAre("add.2"));
  EXPECT_FALSE(graph.layers(3).attention().causal());
  EXPECT_TRUE(graph.layers(3).attention().projections());
  EXPECT_TRUE(graph.layers(3).attention().bias());
  EXPECT_EQ(graph.layers(3).attention().key_value_heads(), 4);
  EXPECT_TRUE(graph.layers(4).layer_norm().bias());
  EXPECT_EQ(graph.layers(6).rope().theta(), 10000);
  EXPECT_EQ(graph.layers(7).concat().axis(), -1);
  EXPECT_FALSE(graph.layers(8).linear().has_width());
  EXPECT_EQ(spec.dataset().task(), v1::TASK_UNSPECIFIED);
}

TEST(CompleteGraph, CompletingTwiceChangesSomething) {
  const v1::JobSpec once = Completed(
      "{name: t, embedding: {width: 8, positions: 16}}, {attention: {heads: 2, projections: false}, inputs: "
      "[t, t, t]}, "
      "{linear: {tied: t}}",
      "", kText);
  v1::JobSpec twice = once;
  ASSERT_TRUE(CompleteSpec(&twice).ok());
  EXPECT_EQ(twice.DebugString(), once.DebugString());
  const auto read = ParseSpec(MessageToYaml(once), "job.yaml", "", {});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->DebugString(), once.DebugString());
}

TEST(CompleteGraph, EmbeddingDoesNotSayThatTheDatasetIsText) {
  const v1::JobSpec spec = Completed(
      "{embedding: {width: 8, vocabulary: 300, positions: 16}}, {attention: {heads: 2}}, {linear: {}}", "",
      "{ path: a.txt }");
  EXPECT_EQ(spec.dataset().task(), v1::TASK_LANGUAGE_MODEL);
  EXPECT_EQ(spec.dataset().text().sequence_length(), 16);
  EXPECT_TRUE(spec.model().graph().layers(1).attention().causal());
  EXPECT_EQ(ContextOf(spec.model()), 16);
  EXPECT_EQ(FixedVocabulary(spec.model()), 300);
  ExpectError("{embedding: {width: 8}}, {linear: {}}",
              "dataset.text.sequence_length: the model does not say how many tokens a sample has");
  absl::StatusOr<v1::JobSpec> longer = Read("{embedding: {width: 8, positions: 4}}, {linear: {}}", "", kText);
  EXPECT_THAT(std::string(CompleteSpec(&*longer).message()),
              HasSubstr("a sample of 8 tokens is longer than the model's context (4)"));
  absl::StatusOr<v1::JobSpec> numbers =
      Read("{linear: {}}", "", "{ path: a.txt, task: language_model, text: { sequence_length: 8 } }");
  EXPECT_THAT(
      std::string(CompleteSpec(&*numbers).message()),
      HasSubstr("model.graph without an embedding: is for classification or regression or reconstruction"));
}

TEST(CompleteGraph, UnknownOperationOrFieldIsTaken) {
  ExpectError("{conv2d: {channels: 3}}", "model.graph.layers[0].conv2d: unknown field; did you mean 'conv'?");
  ExpectError("{linear: {with: 3}}",
              "model.graph.layers[0].linear.with: unknown field; did you mean 'width'?");
  ExpectError("{linear: {width: 3}, gru: {}}", "'linear' was already chosen");
  ExpectError("{name: a}", "model.graph.layers[0] (a): expected an operation");
  ExpectError("", "model.graph.layers: expected at least one layer");
  ExpectError("{activation: gellu}", "did you mean 'gelu'?");
}

TEST(CompleteGraph, NameThatNoLayerMayHaveIsTaken) {
  ExpectError("{name: a, flatten: {}}, {name: a, flatten: {}}",
              "model.graph.layers[1].name: expected a name of its own, got 'a', which is that of layers[0]");
  ExpectError("{name: input, flatten: {}}", "model.graph.layers[0].name: 'input' is the model's input");
  ExpectError("{name: 'a*', flatten: {}}", "model.graph.layers[0].name: expected 1 to 128 letters, digits");
}

TEST(CompleteGraph, InputThatIsNoLayerAboveIsTaken) {
  ExpectError("{name: conv1, linear: {width: 3}}, {name: b, inputs: [conv11], linear: {}}",
              "model.graph.layers[1] (b): reads 'conv11', but there is no such layer; did you mean 'conv1'?");
  ExpectError("{name: a, inputs: [zzzzzz], linear: {}}", "expected `input` or the name of a layer above");
  ExpectError(
      "{name: a, inputs: [b], linear: {width: 3}}, {name: b, inputs: [input], linear: {width: 3}}, {inputs: "
      "[a, "
      "b], add: {}}",
      "model.graph.layers[0] (a): reads 'b', which stands below it, at layers[1]; move it below what it "
      "reads");
  ExpectError(
      "{name: a, inputs: [c], flatten: {}}, {name: b, flatten: {}}, {name: c, flatten: {}}, {linear: {}}",
      "model.graph.layers[0] (a): is part of a cycle: a -> b -> c -> a");
  ExpectError("{name: a, inputs: [a], flatten: {}}, {linear: {}}", "(a): is part of a cycle: a -> a");
}

TEST(CompleteGraph, WrongNumberOfInputsIsTaken) {
  ExpectError("{add: {}}", "model.graph.layers[0] (add.0): add reads 2 inputs, got 0; name them");
  ExpectError("{inputs: [input], swiglu: {}}", "(swiglu.0): swiglu reads 2 inputs, got 1");
  ExpectError("{inputs: [input], concat: {}}", "concat reads at least 2 inputs, got 1");
  ExpectError("{inputs: [input, input], linear: {}}", "linear reads 1 input, got 2");
  ExpectError("{inputs: [input, input, input], batch_norm: {}}", "batch_norm reads 1 or 2 inputs, got 3");
  ExpectError("{inputs: [input, input, input], attention: {heads: 1}}", "attention reads 1 input, got 3");
  ExpectError("{inputs: [input, input], attention: {heads: 1, projections: false}}",
              "attention reads 1 input or 3, got 2");
}

TEST(CompleteGraph, LayerThatNobodyReadsIsTaken) {
  ExpectError(
      "{name: a, linear: {width: 3}}, {name: b, inputs: [input], linear: {width: 3}}, {name: c, inputs: [a], "
      "linear: {}}",
      "model.graph.layers[1] (b): no layer reads it, and it is not the output, which is the last layer "
      "('c')");
}

TEST(CompleteGraph, FieldThatIsWrongIsTaken) {
  ExpectError("{name: a, linear: {}}, {linear: {}}", "model.graph.layers[0] (a): linear.width is missing");
  ExpectError("{name: a, conv: {channels: 4, kernel: 16}}",
              "model.graph.layers[0].conv.kernel: expected an integer from 1 to 15, got 16 (layer 'a')");
  ExpectError("{attention: {heads: 4, key_value_heads: 3}}", "expected a divisor of heads (4), got 3");
  ExpectError("{attention: {}}", "attention.heads: missing");
  ExpectError("{attention: {heads: 2, projections: false, bias: true}}",
              "there are none (projections: false)");
  ExpectError("{inputs: [input, input, input], attention: {heads: 2, projections: false, rope_theta: 10}}",
              "put rope layers before the query and the key");
  ExpectError("{rms_norm: {bias: true}}", "an rms_norm has none");
  ExpectError("{layer_norm: {epsilon: 0}}", "layer_norm.epsilon");
  ExpectError("{reshape: {}}", "reshape.shape: missing");
  ExpectError("{reshape: {shape: [-1, -1]}}", "at most one -1");
  ExpectError("{transpose: {axes: [1, 1]}}", "expected the axes 0 to n - 1 in their new order");
  ExpectError("{lstm: {}}", "lstm.hidden: missing");
  ExpectError("{embedding: {}}", "embedding.width: missing");
  ExpectError("{linear: {width: 3, initializer: {}}}", "expected one of normal, uniform and constant");
  ExpectError("{linear: {width: 3, initializer: {normal: 0}}}", "linear.initializer.normal");
  ExpectError("{name: t, embedding: {width: 3}}, {linear: {tied: t, width: 3}}",
              "linear.tied: the weight is the table");
  ExpectError("{name: t, embedding: {width: 3}}, {name: a, linear: {tied: t}}, {linear: {}}",
              "(a): linear.tied: only the last layer");
  ExpectError("{name: t, embedding: {width: 3}}, {name: a, linear: {tied: u}}",
              "(a): linear.tied: 'u' is no embedding of the graph; expected t");
  ExpectError("{flatten: {}}", "model.graph.input_shape[1]", "input_shape: [2, 0], ");
  ExpectError("{embedding: {width: 3}}, {linear: {}}", "the input of a graph with an embedding is text",
              "input_shape: [8], ");
}

TEST(CompleteGraph, ShapeIsNotThatOfTheImages) {
  v1::Dataset dataset;
  dataset.set_format(v1::DATASET_FORMAT_IDX);
  v1::Column* pixels = dataset.add_columns();
  pixels->add_shape(12);
  pixels->add_shape(10);
  v1::ModelSpec model = Completed("{linear: {}}").model();
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_THAT(model.graph().input_shape(), ElementsAre(12, 10, 1));
  model = Completed("{last: {}}, {linear: {}}", "input_shape: [12, 10], ").model();
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_THAT(model.graph().input_shape(), ElementsAre(12, 10));
  dataset.set_format(v1::DATASET_FORMAT_CSV);
  model = Completed("{linear: {}}").model();
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_TRUE(model.graph().input_shape().empty());
}

}  // namespace
}  // namespace lockstep::graph_spec_test
