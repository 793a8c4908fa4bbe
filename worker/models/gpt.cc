#include "worker/models/gpt.h"

#include <cmath>
#include <string>
#include <utility>

#include "worker/engine/add.h"
#include "worker/engine/attention.h"
#include "worker/engine/dropout.h"
#include "worker/engine/embedding.h"
#include "worker/engine/linear.h"
#include "worker/engine/norm.h"
#include "worker/models/language_model.h"

namespace lockstep::engine {
namespace {

constexpr double kEpsilon = 1e-5;

class GptBuilder {
 public:
  GptBuilder(const v1::GptSpec& spec, int steps) : spec_(spec), builder_({steps}, true) {
    residual_.value = normal_.value / std::sqrt(2.0 * spec.layers());
  }

  std::shared_ptr<const Model> Build(int64_t vocabulary) && {
    EmbeddingOptions embedding;
    embedding.vocabulary = vocabulary;
    embedding.width = spec_.width();
    embedding.positions = "wpe";
    embedding.context = spec_.context();
    embedding.initializer = normal_;
    const EmbeddingValue tokens = AppendEmbedding(builder_, "wte", builder_.input(), embedding);
    int x = Dropped("drop", tokens.output);
    for (int layer = 0; layer < spec_.layers(); ++layer) x = Block(absl::StrCat("h.", layer), x);
    x = AppendLayerNorm(builder_, "ln_f", x, kEpsilon, spec_.bias());
    if (spec_.tie_weights()) {
      x = AppendTiedOutput(builder_, "lm_head", x, tokens);
    } else {
      LinearOptions options;
      options.bias = false;
      options.initializer = &normal_;
      x = AppendLinear(builder_, "lm_head", x, vocabulary, options);
    }
    return std::move(builder_).Build(x, v1::LOSS_CROSS_ENTROPY);
  }

 private:
  int Block(const std::string& name, int x) {
    int y = AppendLayerNorm(builder_, name + ".ln_1", x, kEpsilon, spec_.bias());
    y = Linear(name + ".attn.c_attn", y, 3 * spec_.width(), kernels::Activation::kIdentity, normal_);
    y = AppendFusedAttention(builder_, name + ".attn", y, {spec_.heads(), spec_.heads(), true});
    y = Linear(name + ".attn.c_proj", y, spec_.width(), kernels::Activation::kIdentity, residual_);
    x = AppendAdd(builder_, name + ".add_1", x, Dropped(name + ".attn.resid_dropout", y));
    y = AppendLayerNorm(builder_, name + ".ln_2", x, kEpsilon, spec_.bias());
    y = Linear(name + ".mlp.c_fc", y, 4 * spec_.width(), kernels::Activation::kGelu, normal_);
    y = Linear(name + ".mlp.c_proj", y, spec_.width(), kernels::Activation::kIdentity, residual_);
    return AppendAdd(builder_, name + ".add_2", x, Dropped(name + ".mlp.dropout", y));
  }

  int Linear(const std::string& name, int x, int64_t outputs, kernels::Activation activation,
             const Initializer& initializer) {
    LinearOptions options;
    options.activation = activation;
    options.bias = spec_.bias();
    options.initializer = &initializer;
    return AppendLinear(builder_, name, x, outputs, options);
  }

  int Dropped(const std::string& name, int x) {
    return spec_.dropout() > 0 ? AppendDropout(builder_, name, x, spec_.dropout()) : x;
  }

  const v1::GptSpec& spec_;
  GraphBuilder builder_;
  const Initializer normal_{0.02, Initializer::kNormal};
  Initializer residual_ = normal_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildGpt(const v1::GptSpec& spec, int steps, int vocabulary) {
  RETURN_IF_ERROR(CheckHeads("gpt", spec.heads(), spec.width()));
  RETURN_IF_ERROR(CheckWindow("gpt", steps, spec.context()));
  const int tokens = spec.has_vocabulary() ? spec.vocabulary() : vocabulary;
  RETURN_IF_ERROR(CheckVocabulary("gpt", tokens, vocabulary));
  return GptBuilder(spec, steps).Build(tokens);
}

}  // namespace lockstep::engine
