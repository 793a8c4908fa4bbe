#include "worker/models/recurrent.h"

#include <string>
#include <utility>

#include "worker/engine/dropout.h"
#include "worker/engine/embedding.h"
#include "worker/engine/linear.h"
#include "worker/engine/reshape.h"
#include "worker/models/language_model.h"

namespace lockstep::engine {
namespace {

const char* NameOf(RecurrentKind kind) { return kind == RecurrentKind::kLstm ? "lstm" : "gru"; }

int Layers(GraphBuilder& builder, RecurrentKind kind, const v1::RecurrentSpec& spec, int x) {
  for (int layer = 0; layer < spec.layers(); ++layer) {
    if (layer > 0 && spec.dropout() > 0) {
      x = AppendDropout(builder, absl::StrCat("dropout.", layer - 1), x, spec.dropout());
    }
    x = AppendRecurrent(builder, kind, NameOf(kind), layer, x, spec.hidden());
  }
  return x;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildRecurrentLanguageModel(RecurrentKind kind,
                                                                         const v1::RecurrentSpec& spec,
                                                                         int steps, int vocabulary) {
  RETURN_IF_ERROR(CheckWindow(NameOf(kind), steps, spec.context()));
  GraphBuilder builder({steps}, true);
  EmbeddingOptions embedding;
  embedding.vocabulary = vocabulary;
  embedding.width = spec.has_embedding() ? spec.embedding() : spec.hidden();
  int x = AppendEmbedding(builder, "embedding", builder.input(), embedding).output;
  x = Layers(builder, kind, spec, x);
  x = AppendLinear(builder, "output", x, vocabulary, kernels::Activation::kIdentity);
  return std::move(builder).Build(x, v1::LOSS_CROSS_ENTROPY);
}

absl::StatusOr<std::shared_ptr<const Model>> BuildRecurrent(RecurrentKind kind, const v1::RecurrentSpec& spec,
                                                            int features, int outputs, v1::Loss loss) {
  const int steps = spec.sequence_length();
  if (steps < 1 || features % steps != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.", NameOf(kind), ".sequence_length: ", features, " features cannot be cut into ", steps,
        " equal steps; give a divisor of the number of features, for example the rows of an image"));
  }
  GraphBuilder builder({steps, features / steps});
  int x = Layers(builder, kind, spec, builder.input());
  x = AppendLast(builder, "last", x);
  x = AppendLinear(builder, "output", x, outputs, kernels::Activation::kIdentity);
  return std::move(builder).Build(x, loss);
}

}  // namespace lockstep::engine
