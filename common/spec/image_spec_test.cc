// CompleteSpec of models of images.
#include "common/spec/image_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/spec/spec.h"

namespace lockstep::image_spec_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::JobSpec Read(const std::string& model) {
  auto spec = ParseSpec("dataset: { path: a.idx }\nmodel: " + model, "job.yaml", "", {});
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : v1::JobSpec();
}

v1::ModelSpec Complete(const std::string& model) {
  v1::JobSpec spec = Read(model);
  const absl::Status status = CompleteSpec(&spec);
  EXPECT_TRUE(status.ok()) << status;
  return spec.model();
}

void ExpectError(const std::string& model, const std::string& message) {
  v1::JobSpec spec = Read(model);
  const absl::Status status = CompleteSpec(&spec);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << model;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << model;
}

std::string Cnn(const std::string& layers) { return "{ cnn: { layers: [" + layers + "] } }"; }

TEST(CompleteImages, DefaultsOfLayersAreNotTheProtos) {
  const v1::CnnSpec cnn = Complete(Cnn("{conv: {channels: 4}}, {max_pool: {kernel: 3}}, {batch_norm: {}}, "
                                       "{name: top, linear: {width: 5}}"))
                              .cnn();
  EXPECT_EQ(cnn.layers(0).name(), "conv.0");
  EXPECT_EQ(cnn.layers(0).conv().kernel(), 3);
  EXPECT_EQ(cnn.layers(0).conv().stride(), 1);
  EXPECT_EQ(cnn.layers(0).conv().groups(), 1);
  EXPECT_TRUE(cnn.layers(0).conv().bias());
  EXPECT_EQ(cnn.layers(1).max_pool().stride(), 3);
  EXPECT_EQ(cnn.layers(2).batch_norm().momentum(), 0.1);
  EXPECT_EQ(cnn.layers(3).name(), "top");
}

TEST(CompleteImages, WrongLayersAreTaken) {
  ExpectError("{ cnn: {} }", "model.cnn.layers: expected at least one layer");
  ExpectError(Cnn("{name: a}"), "model.cnn.layers[0] (a): expected an operation");
  ExpectError(Cnn("{conv: {}}"), "model.cnn.layers[0].conv.channels: missing");
  ExpectError(Cnn("{conv: {channels: 4, kernel: 16}}"), "model.cnn.layers[0].conv.kernel");
  ExpectError(Cnn("{conv: {channels: 4, groups: 3}}"), "expected a divisor of channels (4), got 3");
  ExpectError(Cnn("{max_pool: {kernel: 3, padding: 2}}"), "model.cnn.layers[0].max_pool.padding");
  ExpectError(Cnn("{dropout: {}}"), "model.cnn.layers[0].dropout.probability: missing");
  ExpectError(Cnn("{attention: {heads: 2}}"), "model: graph takes the others");
  ExpectError(Cnn("{inputs: [input], flatten: {}}"), "model.cnn.layers[0].inputs");
  ExpectError(Cnn("{name: a, flatten: {}}, {name: a, flatten: {}}"), "model.cnn.layers[1].name");
  ExpectError(Cnn("{name: output, flatten: {}}"), "which is the last layer's");
  ExpectError("{ cnn: { input_shape: [28, 28], layers: [{flatten: {}}] } }",
              "[height, width, channels], got 2 numbers");
  ExpectError("{ cnn: { input_shape: [0, 28, 1], layers: [{flatten: {}}] } }", "model.cnn.input_shape[0]");
  ExpectError("{ resnet: { depth: 19 } }", "model.resnet.depth");
  ExpectError("{ resnet: { width: 0 } }", "model.resnet.width");
}

TEST(CompleteImages, StemOrWidthDoesNotFollowDepthAndSize) {
  EXPECT_EQ(Complete("{ resnet: {} }").resnet().depth(), 18);
  EXPECT_EQ(Complete("{ resnet: {} }").resnet().width(), 64);
  EXPECT_EQ(Complete("{ resnet: {} }").resnet().stem(), v1::STEM_UNSPECIFIED);
  EXPECT_EQ(Complete("{ resnet: { depth: 20 } }").resnet().width(), 16);
  EXPECT_EQ(Complete("{ resnet: { depth: 20 } }").resnet().stem(), v1::STEM_CIFAR);
  EXPECT_EQ(Complete("{ resnet: { input_shape: [32, 32, 3] } }").resnet().stem(), v1::STEM_CIFAR);
  EXPECT_EQ(Complete("{ resnet: { input_shape: [224, 224, 3] } }").resnet().stem(), v1::STEM_IMAGENET);
}

TEST(CompleteInputShape, ShapeIsNotThatOfTheImages) {
  v1::Dataset dataset;
  dataset.set_name("digits");
  dataset.set_format(v1::DATASET_FORMAT_IDX);
  v1::Column* pixels = dataset.add_columns();
  pixels->add_shape(12);
  pixels->add_shape(10);
  v1::ModelSpec model = Complete(Cnn("{conv: {channels: 4}}"));
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_THAT(model.cnn().input_shape(), ElementsAre(12, 10, 1));
  model = Complete("{ resnet: {} }");
  pixels->add_shape(3);
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_THAT(model.resnet().input_shape(), ElementsAre(12, 10, 3));
  EXPECT_EQ(model.resnet().stem(), v1::STEM_CIFAR);
  // What the spec says stands.
  model = Complete("{ cnn: { input_shape: [4, 30, 3], layers: [{flatten: {}}] } }");
  ASSERT_TRUE(CompleteInputShape(dataset, &model).ok());
  EXPECT_THAT(model.cnn().input_shape(), ElementsAre(4, 30, 3));

  dataset.set_format(v1::DATASET_FORMAT_CSV);
  model = Complete("{ resnet: {} }");
  EXPECT_THAT(std::string(CompleteInputShape(dataset, &model).message()),
              HasSubstr("the rows of dataset 'digits' do not tell"));
}

}  // namespace
}  // namespace lockstep::image_spec_test
