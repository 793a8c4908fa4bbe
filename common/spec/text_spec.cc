#include "common/spec/text_spec.h"

#include <algorithm>

#include "common/spec/checks.h"

namespace lockstep {
namespace {

constexpr int32_t kLongestSequence = 1 << 20;
constexpr int32_t kSmallestVocabulary = 257, kLargestVocabulary = 1000000;

absl::Status CheckTokenizer(const v1::TokenizerSpec& tokenizer) {
  if (!tokenizer.has_bpe()) return absl::OkStatus();
  const v1::BytePairTokenizer& bpe = tokenizer.bpe();
  if (bpe.has_vocabulary() != bpe.path().empty()) {
    return spec::Invalid(
        "dataset.text.tokenizer.bpe",
        bpe.has_vocabulary()
            ? "expected either 'vocabulary' (train one) or 'path' (load one), got both"
            : "expected 'vocabulary' (train one of this size) or 'path' (load one), got neither");
  }
  if (!bpe.has_vocabulary()) return absl::OkStatus();
  return spec::InRange("dataset.text.tokenizer.bpe.vocabulary", bpe.vocabulary(), kSmallestVocabulary,
                       kLargestVocabulary);
}

// The smallest of what a graph's embeddings say, as `of` reads it; 0: none says anything.
template <typename Of>
int32_t LeastOf(const v1::GraphSpec& graph, Of of) {
  int32_t least = 0;
  for (const v1::Layer& layer : graph.layers()) {
    const int32_t value = layer.has_embedding() ? of(layer.embedding()) : 0;
    if (value > 0 && (least == 0 || value < least)) least = value;
  }
  return least;
}

}  // namespace

bool ReadsTokens(const v1::GraphSpec& graph) {
  return std::any_of(graph.layers().begin(), graph.layers().end(),
                     [](const v1::Layer& layer) { return layer.has_embedding(); });
}

int32_t ContextOf(const v1::ModelSpec& model) {
  switch (model.kind_case()) {
    case v1::ModelSpec::kGpt:
      return model.gpt().has_context() ? model.gpt().context() : 1024;
    case v1::ModelSpec::kLlama:
      return model.llama().has_context() ? model.llama().context() : 1024;
    case v1::ModelSpec::kLstm:
      return model.lstm().has_context() ? model.lstm().context() : 64;
    case v1::ModelSpec::kGru:
      return model.gru().has_context() ? model.gru().context() : 64;
    case v1::ModelSpec::kGraph:
      return LeastOf(model.graph(), [](const v1::EmbeddingLayer& layer) { return layer.positions(); });
    default:
      return 0;
  }
}

int32_t FixedVocabulary(const v1::ModelSpec& model) {
  if (model.has_gpt()) return model.gpt().vocabulary();
  if (model.has_graph()) {
    return LeastOf(model.graph(), [](const v1::EmbeddingLayer& layer) { return layer.vocabulary(); });
  }
  return model.has_llama() ? model.llama().vocabulary() : 0;
}

absl::Status CompleteText(v1::JobSpec* spec) {
  v1::TextSpec* text = spec->mutable_dataset()->mutable_text();
  const int32_t context = ContextOf(spec->model());
  constexpr char kField[] = "dataset.text.sequence_length";
  if (!text->has_sequence_length()) {
    if (context < 1)
      return spec::Invalid(kField, "the model does not say how many tokens a sample has; set it");
    text->set_sequence_length(context);
  }
  RETURN_IF_ERROR(spec::InRange(kField, text->sequence_length(), 1, kLongestSequence));
  if (context > 0 && text->sequence_length() > context) {
    return spec::Invalid(kField, absl::StrCat("a sample of ", text->sequence_length(),
                                              " tokens is longer than the model's context (", context,
                                              "); lower it, or raise the model's context"));
  }
  return CheckTokenizer(text->tokenizer());
}

}  // namespace lockstep
