#include "worker/models/llama.h"

#include <string>
#include <utility>

#include "worker/engine/add.h"
#include "worker/engine/attention.h"
#include "worker/engine/embedding.h"
#include "worker/engine/linear.h"
#include "worker/engine/norm.h"
#include "worker/engine/swiglu.h"
#include "worker/models/language_model.h"

namespace lockstep::engine {
namespace {

class LlamaBuilder {
 public:
  LlamaBuilder(const v1::LlamaSpec& spec, int steps)
      : spec_(spec), head_width_(spec.width() / spec.heads()), builder_({steps}, true) {}

  std::shared_ptr<const Model> Build(int64_t vocabulary) && {
    EmbeddingOptions embedding;
    embedding.vocabulary = vocabulary;
    embedding.width = spec_.width();
    embedding.initializer = normal_;
    const EmbeddingValue tokens =
        AppendEmbedding(builder_, "model.embed_tokens", builder_.input(), embedding);
    int x = tokens.output;
    for (int layer = 0; layer < spec_.layers(); ++layer) x = Block(absl::StrCat("model.layers.", layer), x);
    x = AppendRmsNorm(builder_, "model.norm", x, spec_.norm_epsilon());
    x = spec_.tie_weights() ? AppendTiedOutput(builder_, "lm_head", x, tokens)
                            : Linear("lm_head", x, vocabulary);
    return std::move(builder_).Build(x, v1::LOSS_CROSS_ENTROPY);
  }

 private:
  int Block(const std::string& name, int x) {
    const int64_t key_width = spec_.key_value_heads() * head_width_;
    const int normal = AppendRmsNorm(builder_, name + ".input_layernorm", x, spec_.norm_epsilon());
    const int query = Rotated(name + ".self_attn.q_proj", normal, spec_.width(), spec_.heads());
    const int key = Rotated(name + ".self_attn.k_proj", normal, key_width, spec_.key_value_heads());
    const int value = Linear(name + ".self_attn.v_proj", normal, key_width);
    int y = AppendAttention(builder_, name + ".self_attn", query, key, value,
                            {spec_.heads(), spec_.key_value_heads(), true});
    y = Linear(name + ".self_attn.o_proj", y, spec_.width());
    x = AppendAdd(builder_, name + ".add_1", x, y);
    y = AppendRmsNorm(builder_, name + ".post_attention_layernorm", x, spec_.norm_epsilon());
    const int gate = Linear(name + ".mlp.gate_proj", y, spec_.hidden());
    const int up = Linear(name + ".mlp.up_proj", y, spec_.hidden());
    y = Linear(name + ".mlp.down_proj", AppendSwiGlu(builder_, name + ".mlp", gate, up), spec_.width());
    return AppendAdd(builder_, name + ".add_2", x, y);
  }

  int Rotated(const std::string& name, int x, int64_t outputs, int64_t heads) {
    return AppendRope(builder_, name + ".rope", Linear(name, x, outputs), heads, head_width_,
                      spec_.rope_theta());
  }

  int Linear(const std::string& name, int x, int64_t outputs) {
    LinearOptions options;
    options.bias = false;
    options.initializer = &normal_;
    return AppendLinear(builder_, name, x, outputs, options);
  }

  const v1::LlamaSpec& spec_;
  const int64_t head_width_;
  GraphBuilder builder_;
  const Initializer normal_{0.02, Initializer::kNormal};
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Model>> BuildLlama(const v1::LlamaSpec& spec, int steps,
                                                        int vocabulary) {
  RETURN_IF_ERROR(CheckHeads("llama", spec.heads(), spec.width()));
  if (spec.width() / spec.heads() % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.llama.heads: a head is ", spec.width() / spec.heads(),
                     " columns wide; the rotary embedding needs an even number, change width or heads"));
  }
  if (spec.key_value_heads() < 1 || spec.heads() % spec.key_value_heads() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("model.llama.key_value_heads: ", spec.key_value_heads(),
                                                   " does not divide the ", spec.heads(), " heads"));
  }
  RETURN_IF_ERROR(CheckWindow("llama", steps, spec.context()));
  const int tokens = spec.has_vocabulary() ? spec.vocabulary() : vocabulary;
  RETURN_IF_ERROR(CheckVocabulary("llama", tokens, vocabulary));
  return LlamaBuilder(spec, steps).Build(tokens);
}

}  // namespace lockstep::engine
