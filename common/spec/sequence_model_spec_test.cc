// Defaults and errors of the sequence models' specs.
#include "common/spec/complete_sequence_model.h"
#include "common/spec/spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep {
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

}  // namespace
}  // namespace lockstep
