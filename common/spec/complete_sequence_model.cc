#include "common/spec/complete_sequence_model.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"
#include "common/spec/limits.h"

namespace lockstep::spec {
namespace {

constexpr int kDeepest = 1000;

// `which` and `of` are the last parts of the fields' names.
absl::Status Divides(absl::string_view model, absl::string_view which, int divisor, absl::string_view of,
                     int value) {
  if (value % divisor == 0) return absl::OkStatus();
  return Invalid(absl::StrCat(model, ".", which), absl::StrCat(divisor, " heads do not divide ", of, " ",
                                                               value, "; expected a divisor of ", value));
}

}  // namespace

absl::Status CompleteGpt(v1::GptSpec* gpt) {
  if (!gpt->has_layers()) gpt->set_layers(12);
  if (!gpt->has_heads()) gpt->set_heads(12);
  if (!gpt->has_width()) gpt->set_width(768);
  if (!gpt->has_context()) gpt->set_context(1024);
  if (!gpt->has_dropout()) gpt->set_dropout(0);
  if (!gpt->has_bias()) gpt->set_bias(true);
  if (!gpt->has_tie_weights()) gpt->set_tie_weights(true);
  RETURN_IF_ERROR(InRange("model.gpt.layers", gpt->layers(), 1, kDeepest));
  RETURN_IF_ERROR(InRange("model.gpt.width", gpt->width(), 1, kWidest));
  RETURN_IF_ERROR(InRange("model.gpt.heads", gpt->heads(), 1, gpt->width()));
  RETURN_IF_ERROR(Divides("model.gpt", "heads", gpt->heads(), "width", gpt->width()));
  RETURN_IF_ERROR(InRange("model.gpt.context", gpt->context(), 1, kLongest));
  if (gpt->has_vocabulary()) {
    RETURN_IF_ERROR(InRange("model.gpt.vocabulary", gpt->vocabulary(), 2, kLargestVocabulary));
  }
  return Fraction("model.gpt.dropout", gpt->dropout());
}

absl::Status CompleteLlama(v1::LlamaSpec* llama) {
  if (!llama->has_layers()) llama->set_layers(12);
  if (!llama->has_heads()) llama->set_heads(12);
  if (!llama->has_key_value_heads()) llama->set_key_value_heads(llama->heads());
  if (!llama->has_width()) llama->set_width(768);
  if (!llama->has_context()) llama->set_context(1024);
  if (!llama->has_rope_theta()) llama->set_rope_theta(10000);
  if (!llama->has_norm_epsilon()) llama->set_norm_epsilon(1e-5);
  if (!llama->has_tie_weights()) llama->set_tie_weights(false);
  RETURN_IF_ERROR(InRange("model.llama.layers", llama->layers(), 1, kDeepest));
  RETURN_IF_ERROR(InRange("model.llama.width", llama->width(), 1, kWidest));
  RETURN_IF_ERROR(InRange("model.llama.heads", llama->heads(), 1, llama->width()));
  RETURN_IF_ERROR(Divides("model.llama", "heads", llama->heads(), "width", llama->width()));
  const int head_width = llama->width() / llama->heads();
  if (head_width % 2 != 0) {
    return Invalid("model.llama.heads",
                   absl::StrCat("width ", llama->width(), " / ", llama->heads(), " heads = ", head_width,
                                " columns for each; the rotary embedding needs an even number"));
  }
  RETURN_IF_ERROR(InRange("model.llama.key_value_heads", llama->key_value_heads(), 1, llama->heads()));
  RETURN_IF_ERROR(
      Divides("model.llama", "key_value_heads", llama->key_value_heads(), "heads", llama->heads()));
  if (!llama->has_hidden()) llama->set_hidden(((8 * llama->width() + 2) / 3 + 63) / 64 * 64);
  RETURN_IF_ERROR(InRange("model.llama.hidden", llama->hidden(), 1, 4 * kWidest));
  RETURN_IF_ERROR(InRange("model.llama.context", llama->context(), 1, kLongest));
  RETURN_IF_ERROR(Positive("model.llama.rope_theta", llama->rope_theta()));
  RETURN_IF_ERROR(Positive("model.llama.norm_epsilon", llama->norm_epsilon()));
  if (!llama->has_vocabulary()) return absl::OkStatus();
  return InRange("model.llama.vocabulary", llama->vocabulary(), 2, kLargestVocabulary);
}

absl::Status CompleteRecurrent(absl::string_view field, v1::RecurrentSpec* recurrent) {
  const auto name = [field](absl::string_view part) { return absl::StrCat(field, ".", part); };
  if (!recurrent->has_hidden()) recurrent->set_hidden(128);
  if (!recurrent->has_layers()) recurrent->set_layers(1);
  if (!recurrent->has_dropout()) recurrent->set_dropout(0);
  if (!recurrent->has_context()) recurrent->set_context(64);
  if (!recurrent->has_embedding()) recurrent->set_embedding(recurrent->hidden());
  RETURN_IF_ERROR(InRange(name("hidden"), recurrent->hidden(), 1, kWidest));
  RETURN_IF_ERROR(InRange(name("layers"), recurrent->layers(), 1, kDeepest));
  RETURN_IF_ERROR(InRange(name("context"), recurrent->context(), 1, kLongest));
  RETURN_IF_ERROR(InRange(name("embedding"), recurrent->embedding(), 1, kWidest));
  if (recurrent->has_sequence_length()) {
    RETURN_IF_ERROR(InRange(name("sequence_length"), recurrent->sequence_length(), 1, kLongest));
  }
  return Fraction(name("dropout"), recurrent->dropout());
}

}  // namespace lockstep::spec

namespace lockstep {

absl::Status CompleteSequenceLength(const v1::Dataset& dataset, v1::ModelSpec* model) {
  if (!model->has_lstm() && !model->has_gru()) return absl::OkStatus();
  if (dataset.format() == v1::DATASET_FORMAT_TEXT || dataset.format() == v1::DATASET_FORMAT_TOKENS) {
    return absl::OkStatus();
  }
  v1::RecurrentSpec* recurrent = model->has_lstm() ? model->mutable_lstm() : model->mutable_gru();
  if (recurrent->has_sequence_length()) return absl::OkStatus();
  const v1::Column column = dataset.columns_size() > 0 ? dataset.columns(0) : v1::Column();
  if (dataset.format() != v1::DATASET_FORMAT_IDX || column.shape_size() < 2) {
    return spec::Invalid(model->has_lstm() ? "model.lstm.sequence_length" : "model.gru.sequence_length",
                         absl::StrCat("missing, and the rows of dataset '", dataset.name(),
                                      "' do not tell; expected the number of steps that a row is cut into"));
  }
  recurrent->set_sequence_length(column.shape(0));
  return absl::OkStatus();
}

}  // namespace lockstep
