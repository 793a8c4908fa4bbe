#include "common/pretrained/config.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/paths/path_fence.h"
#include "common/spec/message_text.h"
#include "common/spec/spec.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using Json = nlohmann::json;

bool Same(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>(), y = b.get<double>();
  return std::abs(x - y) <= 1e-6 * std::abs(y);
}

class Comparison {
 public:
  Comparison(const Json& config, std::string prefix) : config_(config), prefix_(std::move(prefix)) {}

  // The spec's field holds `ours`; a file without the key means `fallback`.
  void Field(const char* field, const Json& ours, const char* key, const Json& fallback) {
    const Json theirs = Value(key, fallback);
    if (!Same(theirs, ours)) {
      found_.push_back(absl::StrCat(prefix_, field, " is ", ours.dump(), ", ", key, " is ", theirs.dump()));
    }
  }

  // No field says it: the file must have one of these values.
  void Fixed(const char* key, const std::vector<Json>& known, const Json& fallback) {
    const Json theirs = Value(key, fallback);
    std::vector<std::string> names;
    for (const Json& value : known) {
      if (Same(theirs, value)) return;
      names.push_back(value.dump());
    }
    found_.push_back(absl::StrCat(key, " is ", theirs.dump(), ", ", prefix_, " computes ",
                                  absl::StrJoin(names, " or "), " alone"));
  }

  const std::vector<std::string>& found() const { return found_; }

 private:
  Json Value(const char* key, const Json& fallback) const {
    return config_.contains(key) && !config_[key].is_null() ? config_[key] : fallback;
  }

  const Json& config_;
  const std::string prefix_;
  std::vector<std::string> found_;
};

void CompareGpt(const v1::GptSpec& gpt, bool whole, Comparison* comparison) {
  comparison->Field(".heads", gpt.heads(), "n_head", 12);
  comparison->Fixed("activation_function", {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}, "gelu_new");
  comparison->Fixed("layer_norm_epsilon", {1e-5}, 1e-5);
  comparison->Fixed("scale_attn_weights", {true}, true);
  comparison->Fixed("scale_attn_by_inverse_layer_idx", {false}, false);
  if (!whole) return;
  comparison->Field(".layers", gpt.layers(), "n_layer", 12);
  comparison->Field(".width", gpt.width(), "n_embd", 768);
  comparison->Field(".context", gpt.context(), "n_positions", 1024);
  comparison->Field(".tie_weights", gpt.tie_weights(), "tie_word_embeddings", true);
  comparison->Fixed("n_inner", {4 * gpt.width()}, 4 * gpt.width());
}

void CompareLlama(const v1::LlamaSpec& llama, const Json& config, bool whole, Comparison* comparison) {
  comparison->Field(".heads", llama.heads(), "num_attention_heads", 32);
  comparison->Field(".key_value_heads", llama.key_value_heads(), "num_key_value_heads",
                    config.contains("num_attention_heads") ? config["num_attention_heads"] : Json(32));
  comparison->Field(".norm_epsilon", llama.norm_epsilon(), "rms_norm_eps", 1e-6);
  comparison->Fixed("hidden_act", {"silu"}, "silu");
  comparison->Fixed("attention_bias", {false}, false);
  comparison->Fixed("mlp_bias", {false}, false);
  comparison->Fixed("head_dim", {llama.width() / llama.heads()}, llama.width() / llama.heads());
  if (!whole) return;
  comparison->Field(".layers", llama.layers(), "num_hidden_layers", 32);
  comparison->Field(".width", llama.width(), "hidden_size", 4096);
  comparison->Field(".hidden", llama.hidden(), "intermediate_size", 11008);
  comparison->Field(".tie_weights", llama.tie_weights(), "tie_word_embeddings", false);
}

// Newer files keep the rotary embedding in rope_parameters, older ones in rope_theta and rope_scaling.
std::vector<std::string> CompareRope(const v1::LlamaSpec& llama, const Json& config) {
  const Json none = Json::object();
  const Json& parameters = config.contains("rope_parameters") && config["rope_parameters"].is_object()
                               ? config["rope_parameters"]
                               : none;
  const Json& scaling =
      config.contains("rope_scaling") && config["rope_scaling"].is_object() ? config["rope_scaling"] : none;
  Comparison theta(parameters.contains("rope_theta") ? parameters : config, "model.llama");
  theta.Field(".rope_theta", llama.rope_theta(), "rope_theta", 10000.0);
  for (const Json& part : {parameters, scaling}) {
    Comparison kind(part, "model.llama");
    kind.Fixed(part.contains("type") ? "type" : "rope_type", {"default"}, "default");
    if (kind.found().empty()) continue;
    std::vector<std::string> found = theta.found();
    found.push_back(absl::StrCat("rope_scaling: ", kind.found().front()));
    return found;
  }
  return theta.found();
}

}  // namespace

absl::Status CheckPretrainedConfig(const std::string& path, const v1::ModelSpec& model, bool whole) {
  if (!model.has_gpt() && !model.has_llama()) return absl::OkStatus();
  constexpr size_t kLargest = size_t{16} << 20;
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(path, kLargest));
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto refuse = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat("from.safetensors: ", path, what));
  };
  if (!config.is_object()) return refuse(": expected a JSON object");
  const std::string kind = config.contains("model_type") && config["model_type"].is_string()
                               ? config["model_type"].get<std::string>()
                               : "";
  if (kind.empty()) return absl::OkStatus();  // somebody's own file
  const std::string ours = model.has_gpt() ? "gpt" : "llama", expected = model.has_gpt() ? "gpt2" : "llama";
  if (kind != expected) {
    const std::string instead = kind == "llama"  ? "; describe it by model.llama"
                                : kind == "gpt2" ? "; describe it by model.gpt"
                                                 : "; gpt2 and llama are the kinds that are read";
    return refuse(absl::StrCat(" is of a model of the kind '", kind, "', model.", ours, " reads '", expected,
                               "'", instead));
  }
  Comparison comparison(config, absl::StrCat("model.", ours));
  std::vector<std::string> found;
  if (model.has_gpt()) {
    CompareGpt(model.gpt(), whole, &comparison);
    found = comparison.found();
  } else {
    CompareLlama(model.llama(), config, whole, &comparison);
    found = comparison.found();
    const std::vector<std::string> rope = CompareRope(model.llama(), config);
    found.insert(found.end(), rope.begin(), rope.end());
  }
  if (found.empty()) return absl::OkStatus();
  return refuse(absl::StrCat(" does not describe the job's model: ", absl::StrJoin(found, "; "),
                             ". Give the model the file's values"));
}

absl::Status CheckPretrainedSpec(const std::string& path, const v1::ModelSpec& model) {
  ASSIGN_OR_RETURN(v1::JobSpec theirs, ReadSpec(path, {}));
  RETURN_IF_ERROR(Annotate(CompleteSpec(&theirs), path));
  if (theirs.model().kind_case() != model.kind_case()) return absl::OkStatus();  // the tensors' names tell
  const auto* kind = v1::ModelSpec::descriptor()->FindFieldByNumber(model.kind_case());
  const auto fields = [kind](const v1::ModelSpec& of) {
    return Json::parse(MessageToJson(of.GetReflection()->GetMessage(of, kind)));
  };
  const Json one = fields(model), two = fields(theirs.model());
  std::vector<std::string> found;
  for (const char* name : {"heads", "key_value_heads", "rope_theta", "norm_epsilon", "activation"}) {
    if (!one.contains(name) || !two.contains(name) || Same(two[name], one[name])) continue;
    found.push_back(absl::StrCat("model.", kind->name(), ".", name, " is ", one[name].dump(), ", there ",
                                 two[name].dump()));
  }
  if (found.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("from.safetensors: ", path,
                                                 " is of another model: ", absl::StrJoin(found, "; "),
                                                 ". Give the model the file's values"));
}

}  // namespace lockstep
