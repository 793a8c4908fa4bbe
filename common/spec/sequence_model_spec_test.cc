// Defaults and errors of the sequence models' specs.
#include "common/spec/complete_sequence_model.h"
#include "common/spec/spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep::sequence_model_spec_test {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<v1::JobSpec> Completed(const std::string& model) {
  auto spec = ParseSpec("dataset: { path: a.txt }\nmodel: " + model, "job.yaml", "", {});
  if (!spec.ok()) return spec.status();
  const absl::Status status = CompleteSpec(&*spec);
  if (!status.ok()) return status;
  return *spec;
}

std::string ErrorOf(const std::string& model) {
  const auto spec = Completed(model);
  return spec.ok() ? "(no error)" : std::string(spec.status().message());
}

TEST(SequenceModelSpec, DefaultsDifferFromTheProto) {
  const v1::JobSpec gpt = *Completed("{ gpt: {} }");
  EXPECT_EQ(gpt.model().gpt().heads(), 12);
  EXPECT_EQ(gpt.model().gpt().context(), 1024);
  EXPECT_TRUE(gpt.model().gpt().bias() && gpt.model().gpt().tie_weights());
  EXPECT_FALSE(gpt.model().gpt().has_vocabulary());
  EXPECT_EQ(gpt.dataset().text().sequence_length(), 1024);
  const v1::JobSpec llama = *Completed("{ llama: { width: 4096, heads: 32 } }");
  EXPECT_EQ(llama.model().llama().hidden(), 10944);
  EXPECT_EQ(llama.model().llama().key_value_heads(), 32);
  const v1::JobSpec lstm = *Completed("{ lstm: { hidden: 20 } }");
  EXPECT_EQ(lstm.model().lstm().embedding(), 20);
  EXPECT_EQ(lstm.model().lstm().context(), 64);
}

TEST(SequenceModelSpec, BadValueIsAcceptedOrNotNamed) {
  EXPECT_THAT(ErrorOf("{ gpt: { heads: 5, width: 128 } }"),
              HasSubstr("model.gpt.heads: 5 heads do not divide width 128; expected a divisor of 128"));
  EXPECT_THAT(ErrorOf("{ gpt: { heads: 0 } }"), HasSubstr("model.gpt.heads"));
  EXPECT_THAT(ErrorOf("{ gpt: { layers: 0 } }"), HasSubstr("model.gpt.layers"));
  EXPECT_THAT(ErrorOf("{ gpt: { context: -1 } }"), HasSubstr("model.gpt.context"));
  EXPECT_THAT(ErrorOf("{ gpt: { dropout: 1 } }"), HasSubstr("model.gpt.dropout"));
  EXPECT_THAT(ErrorOf("{ gpt: { vocabulary: 1 } }"), HasSubstr("model.gpt.vocabulary"));
  EXPECT_THAT(ErrorOf("{ llama: { heads: 4, key_value_heads: 3, width: 64 } }"),
              HasSubstr("model.llama.key_value_heads: 3 heads do not divide heads 4"));
  EXPECT_THAT(ErrorOf("{ llama: { heads: 4, width: 12 } }"), HasSubstr("needs an even number"));
  EXPECT_THAT(ErrorOf("{ llama: { rope_theta: 0 } }"), HasSubstr("model.llama.rope_theta"));
  EXPECT_THAT(ErrorOf("{ gru: { hidden: 0 } }"), HasSubstr("model.gru.hidden"));
  EXPECT_THAT(ErrorOf("{ lstm: { sequence_length: 0 } }"), HasSubstr("model.lstm.sequence_length"));
}

TEST(SequenceModelSpec, StepsAreNotTheRowsOfAnImage) {
  v1::Dataset images;
  images.set_format(v1::DATASET_FORMAT_IDX);
  images.add_columns()->add_shape(12);
  images.mutable_columns(0)->add_shape(10);
  v1::ModelSpec model;
  model.mutable_gru();
  ASSERT_TRUE(CompleteSequenceLength(images, &model).ok());
  EXPECT_EQ(model.gru().sequence_length(), 12);
  model.mutable_lstm()->set_sequence_length(4);  // what the spec says stands
  ASSERT_TRUE(CompleteSequenceLength(images, &model).ok());
  EXPECT_EQ(model.lstm().sequence_length(), 4);
  model.mutable_lstm()->clear_sequence_length();
  v1::Dataset table;
  table.set_name("digits");
  table.set_format(v1::DATASET_FORMAT_CSV);
  EXPECT_THAT(std::string(CompleteSequenceLength(table, &model).message()),
              HasSubstr("model.lstm.sequence_length: missing, and the rows of dataset 'digits' do not tell"));
  table.set_format(v1::DATASET_FORMAT_TEXT);
  EXPECT_TRUE(CompleteSequenceLength(table, &model).ok());
}

}  // namespace
}  // namespace lockstep::sequence_model_spec_test
