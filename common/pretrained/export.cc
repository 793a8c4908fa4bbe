#include "common/pretrained/export.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/checkpoint/safetensors.h"
#include "common/pretrained/layout.h"
#include "common/spec/spec.h"
#include "common/text/byte_pair_tokenizer.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

int64_t RowsOf(const SafetensorsFile& file, const std::string& name) {
  const TensorView* tensor = file.Find(name);
  return tensor == nullptr || tensor->shape.empty() ? 0 : tensor->shape[0];
}

nlohmann::json GptConfig(const v1::GptSpec& gpt, const SafetensorsFile& file) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"vocab_size", RowsOf(file, "wte.weight")},
          {"n_positions", RowsOf(file, "wpe.weight")},
          {"n_embd", gpt.width()},
          {"n_layer", gpt.layers()},
          {"n_head", gpt.heads()},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"tie_word_embeddings", gpt.tie_weights()},
          {"resid_pdrop", gpt.dropout()},
          {"embd_pdrop", gpt.dropout()},
          {"attn_pdrop", 0.0},
          {"bos_token_id", nullptr},
          {"eos_token_id", nullptr},
          {"torch_dtype", "float32"}};
}

nlohmann::json LlamaConfig(const v1::LlamaSpec& llama, const SafetensorsFile& file) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", RowsOf(file, "model.embed_tokens.weight")},
          {"max_position_embeddings", llama.context()},
          {"hidden_size", llama.width()},
          {"intermediate_size", RowsOf(file, "model.layers.0.mlp.gate_proj.weight")},
          {"num_hidden_layers", llama.layers()},
          {"num_attention_heads", llama.heads()},
          {"num_key_value_heads", llama.key_value_heads()},
          {"rope_theta", llama.rope_theta()},  // for older readers
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", llama.rope_theta()}}},
          {"rms_norm_eps", llama.norm_epsilon()},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"tie_word_embeddings", llama.tie_weights()},
          {"bos_token_id", nullptr},
          {"eos_token_id", nullptr},
          {"torch_dtype", "float32"}};
}

// Hugging Face's GPT-2 knows no model without biases: those that the file lacks become zeros, which are
// returned and must outlive the views.
std::vector<float> AppendMissingBiases(const SafetensorsFile& file, std::vector<TensorView>* tensors) {
  std::vector<TensorView> biases;
  int64_t longest = 0;
  for (const TensorView& tensor : file.tensors()) {
    absl::string_view module = tensor.name;
    const bool has_bias = absl::StartsWith(module, "h.") || absl::StartsWith(module, "ln_f.");
    if (!has_bias || !absl::ConsumeSuffix(&module, ".weight") || tensor.shape.empty()) continue;
    const std::string name = absl::StrCat(module, ".bias");
    if (file.Find(name) != nullptr) continue;
    biases.push_back({absl::StrCat("transformer.", name), DType::kF32, {tensor.shape[0]}, nullptr});
    longest = std::max(longest, tensor.shape[0]);
  }
  std::vector<float> zeros(static_cast<size_t>(longest), 0.0f);
  for (TensorView& bias : biases) {
    bias.data = zeros.data();
    tensors->push_back(bias);
  }
  return zeros;  // moved: the views stay good
}

absl::Status WriteJson(const std::string& path, const nlohmann::json& json) {
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::ResourceExhaustedError(absl::StrCat(path, " cannot be written"));
}

// Byte pairs go along as vocab.json and merges.txt; characters have no form there.
absl::Status ExportTokenizer(const std::string& model, const std::string& output) {
  const auto tokenizer = LoadTokenizer(model);
  if (!tokenizer.ok()) return absl::OkStatus();  // a model of token shards brings none
  const auto* pairs = dynamic_cast<const BytePairTokenizer*>(tokenizer->get());
  if (pairs == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(pairs->Save(output));
  // Without its class and with special tokens of its own, transformers would guess by the model and add ids
  // to the vocabulary.
  return WriteJson(output + "/tokenizer_config.json", {{"tokenizer_class", "GPT2Tokenizer"},
                                                       {"bos_token", nullptr},
                                                       {"eos_token", nullptr},
                                                       {"unk_token", nullptr}});
}

}  // namespace

absl::Status ExportHuggingFace(const std::string& model, const std::string& output) {
  ASSIGN_OR_RETURN(const v1::JobSpec spec, ReadSpec(model + "/spec.yaml", {}));
  const bool gpt = spec.model().has_gpt();
  if (!gpt && !spec.model().has_llama()) {
    return absl::InvalidArgumentError(
        absl::StrCat(model,
                     " is no gpt or llama model: Hugging Face's layout is known for those alone; its "
                     "model.safetensors opens with any safetensors reader as it is"));
  }
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(model + "/model.safetensors"));
  std::error_code error;
  fs::create_directories(output, error);
  if (error)
    return absl::FailedPreconditionError(absl::StrCat(output, ": cannot be made: ", error.message()));
  if (fs::exists(output + "/model.safetensors", error)) {
    return absl::AlreadyExistsError(absl::StrCat(output, " holds a model already; choose another folder"));
  }
  std::vector<std::vector<float>> transposed;
  transposed.reserve(file.tensors().size());
  std::vector<TensorView> tensors;
  for (const TensorView& tensor : file.tensors()) {
    TensorView& out = tensors.emplace_back(tensor);
    if (gpt && !absl::StartsWith(tensor.name, "lm_head.")) out.name = "transformer." + tensor.name;
    if (!gpt || !IsConv1d(tensor.name) || tensor.shape.size() != 2 || tensor.dtype != DType::kF32) continue;
    const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    std::vector<float>& values = transposed.emplace_back(static_cast<size_t>(rows * columns));
    const float* from = static_cast<const float*>(tensor.data);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) values[static_cast<size_t>(j * rows + i)] = from[i * columns + j];
    }
    out.shape = {columns, rows};
    out.data = values.data();
  }
  const std::vector<float> zeros = gpt ? AppendMissingBiases(file, &tensors) : std::vector<float>();
  RETURN_IF_ERROR(WriteSafetensors(output + "/model.safetensors", tensors, {{"format", "pt"}}));
  RETURN_IF_ERROR(WriteJson(output + "/config.json", gpt ? GptConfig(spec.model().gpt(), file)
                                                         : LlamaConfig(spec.model().llama(), file)));
  return ExportTokenizer(model, output);
}

}  // namespace lockstep
