// The sequence models by definition, in float64 and without any thought of speed: what the engine is held
// against. Slow and plain on purpose; parameters are found by their names.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "worker/engine/engine.h"

namespace lockstep::engine {

class SequenceReference {
 public:
  using Row = std::vector<double>;
  using Matrix = std::vector<Row>;  // (steps, width)

  SequenceReference(const v1::ModelSpec& spec, const Model& model, const std::vector<double>& weights)
      : spec_(spec), weights_(weights) {
    for (const Parameter& parameter : model.parameters()) parameters_[parameter.name] = &parameter;
  }

  // The summed cross-entropy of a sample's predictions: of its tokens, or of its numbers where tokens is
  // null.
  double Loss(const int32_t* tokens, const float* numbers, int steps, const int32_t* classes) const {
    const Matrix logits = Logits(tokens, numbers, steps);
    double loss = 0;
    for (size_t t = 0; t < logits.size(); ++t) {
      double sum = 0;
      for (const double z : logits[t]) sum += std::exp(z);
      loss += std::log(sum) - logits[t][classes[t]];
    }
    return loss;
  }

  Matrix Logits(const int32_t* tokens, const float* numbers, int steps) const {
    switch (spec_.kind_case()) {
      case v1::ModelSpec::kGpt:
        return Gpt(tokens, steps);
      case v1::ModelSpec::kLlama:
        return Llama(tokens, steps);
      default:
        return Recurrent(tokens, numbers, steps);
    }
  }

 private:
  const double* At(const std::string& name) const { return &weights_[parameters_.at(name)->offset]; }
  bool Has(const std::string& name) const { return parameters_.count(name) > 0; }

  Matrix Embedded(const std::string& name, const int32_t* tokens, int steps) const {
    const int64_t width = parameters_.at(name)->shape[1];
    Matrix x(steps);
    for (int t = 0; t < steps; ++t) {
      x[t].assign(At(name) + tokens[t] * width, At(name) + (tokens[t] + 1) * width);
    }
    return x;
  }

  Row Affine(const Row& x, const std::string& weight, const std::string& bias) const {
    const int64_t outputs = parameters_.at(weight)->shape[0];
    Row y(outputs, 0.0);
    if (Has(bias)) y.assign(At(bias), At(bias) + outputs);
    const double* w = At(weight);
    for (double& sum : y) {
      for (const double value : x) sum += *w++ * value;
    }
    return y;
  }
  Matrix Linear(const Matrix& x, const std::string& name) const {
    Matrix y;
    for (const Row& row : x) y.push_back(Affine(row, name + ".weight", name + ".bias"));
    return y;
  }

  Matrix Norm(Matrix x, const std::string& name, bool centred) const {
    const double* const weight = At(name + ".weight");
    const double* const bias = Has(name + ".bias") ? At(name + ".bias") : nullptr;
    for (Row& row : x) {
      const double n = static_cast<double>(row.size());
      double mean = 0, squares = 0;
      for (const double value : row) mean += centred ? value / n : 0;
      for (const double value : row) squares += (value - mean) * (value - mean) / n;
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = (row[c] - mean) / std::sqrt(squares + 1e-5) * weight[c] + (bias == nullptr ? 0.0 : bias[c]);
      }
    }
    return x;
  }

  static Matrix Sum(Matrix a, const Matrix& b) {
    for (size_t t = 0; t < a.size(); ++t) {
      for (size_t c = 0; c < a[t].size(); ++c) a[t][c] += b[t][c];
    }
    return a;
  }

  // Causal; query head h reads key head h / (heads / key_heads).
  static Matrix Attention(const Matrix& q, const Matrix& k, const Matrix& v, int heads, int key_heads) {
    const size_t width = q[0].size() / heads;
    Matrix y(q.size(), Row(q[0].size(), 0.0));
    for (int head = 0; head < heads; ++head) {
      const size_t at = head * width, from = head / (heads / key_heads) * width;
      for (size_t i = 0; i < q.size(); ++i) {
        Row p(i + 1, 0.0);
        double sum = 0;
        for (size_t j = 0; j <= i; ++j) {
          for (size_t c = 0; c < width; ++c) p[j] += q[i][at + c] * k[j][from + c];
          p[j] = std::exp(p[j] / std::sqrt(static_cast<double>(width)));
          sum += p[j];
        }
        for (size_t j = 0; j <= i; ++j) {
          for (size_t c = 0; c < width; ++c) y[i][at + c] += p[j] / sum * v[j][from + c];
        }
      }
    }
    return y;
  }

  static Matrix Columns(const Matrix& x, size_t begin, size_t count) {
    Matrix y;
    for (const Row& row : x) y.emplace_back(row.begin() + begin, row.begin() + begin + count);
    return y;
  }

  static Matrix Rotated(Matrix x, int heads, double theta) {
    const size_t width = x[0].size() / heads, half = width / 2;
    for (size_t t = 0; t < x.size(); ++t) {
      for (int head = 0; head < heads; ++head) {
        double* pair = &x[t][head * width];
        for (size_t i = 0; i < half; ++i) {
          const double angle = t * std::pow(theta, -2.0 * i / width), a = pair[i], b = pair[i + half];
          pair[i] = a * std::cos(angle) - b * std::sin(angle);
          pair[i + half] = b * std::cos(angle) + a * std::sin(angle);
        }
      }
    }
    return x;
  }

  Matrix Gpt(const int32_t* tokens, int steps) const {
    const v1::GptSpec& gpt = spec_.gpt();
    const size_t width = gpt.width();
    Matrix positions(steps);
    for (int t = 0; t < steps; ++t) {
      positions[t].assign(At("wpe.weight") + t * width, At("wpe.weight") + (t + 1) * width);
    }
    Matrix x = Sum(Embedded("wte.weight", tokens, steps), positions);
    for (int layer = 0; layer < gpt.layers(); ++layer) {
      const std::string name = "h." + std::to_string(layer);
      const Matrix qkv = Linear(Norm(x, name + ".ln_1", true), name + ".attn.c_attn");
      const Matrix y = Attention(Columns(qkv, 0, width), Columns(qkv, width, width),
                                 Columns(qkv, 2 * width, width), gpt.heads(), gpt.heads());
      x = Sum(x, Linear(y, name + ".attn.c_proj"));
      Matrix hidden = Linear(Norm(x, name + ".ln_2", true), name + ".mlp.c_fc");
      for (Row& row : hidden) {
        for (double& z : row) z = 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
      }
      x = Sum(x, Linear(hidden, name + ".mlp.c_proj"));
    }
    return Linear(Norm(x, "ln_f", true), gpt.tie_weights() ? "wte" : "lm_head");
  }

  Matrix Llama(const int32_t* tokens, int steps) const {
    const v1::LlamaSpec& llama = spec_.llama();
    const int heads = llama.heads(), key_heads = llama.key_value_heads();
    Matrix x = Embedded("model.embed_tokens.weight", tokens, steps);
    for (int layer = 0; layer < llama.layers(); ++layer) {
      const std::string name = "model.layers." + std::to_string(layer), attention = name + ".self_attn";
      const Matrix normal = Norm(x, name + ".input_layernorm", false);
      const Matrix y =
          Attention(Rotated(Linear(normal, attention + ".q_proj"), heads, llama.rope_theta()),
                    Rotated(Linear(normal, attention + ".k_proj"), key_heads, llama.rope_theta()),
                    Linear(normal, attention + ".v_proj"), heads, key_heads);
      x = Sum(x, Linear(y, attention + ".o_proj"));
      const Matrix second = Norm(x, name + ".post_attention_layernorm", false);
      Matrix gate = Linear(second, name + ".mlp.gate_proj");
      const Matrix up = Linear(second, name + ".mlp.up_proj");
      for (size_t t = 0; t < gate.size(); ++t) {
        for (size_t c = 0; c < gate[t].size(); ++c) gate[t][c] *= up[t][c] / (1 + std::exp(-gate[t][c]));
      }
      x = Sum(x, Linear(gate, name + ".mlp.down_proj"));
    }
    return Linear(Norm(x, "model.norm", false), llama.tie_weights() ? "model.embed_tokens" : "lm_head");
  }

  static double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

  Matrix Recurrent(const int32_t* tokens, const float* numbers, int steps) const {
    const bool lstm = spec_.has_lstm();
    const v1::RecurrentSpec& spec = lstm ? spec_.lstm() : spec_.gru();
    const size_t n = spec.hidden();
    Matrix x;
    if (tokens != nullptr) {
      x = Embedded("embedding.weight", tokens, steps);
    } else {
      const auto width = parameters_.at(lstm ? "lstm.weight_ih_l0" : "gru.weight_ih_l0")->shape[1];
      for (int t = 0; t < steps; ++t) x.emplace_back(numbers + t * width, numbers + (t + 1) * width);
    }
    for (int layer = 0; layer < spec.layers(); ++layer) {
      const std::string name = lstm ? "lstm." : "gru.", suffix = "_l" + std::to_string(layer);
      Row h(n, 0.0), c(n, 0.0);
      for (Row& row : x) {
        const Row a = Affine(row, name + "weight_ih" + suffix, name + "bias_ih" + suffix);
        const Row b = Affine(h, name + "weight_hh" + suffix, name + "bias_hh" + suffix);
        for (size_t j = 0; j < n; ++j) {
          if (lstm) {
            c[j] = Sigmoid(a[n + j] + b[n + j]) * c[j] +
                   Sigmoid(a[j] + b[j]) * std::tanh(a[2 * n + j] + b[2 * n + j]);
            h[j] = Sigmoid(a[3 * n + j] + b[3 * n + j]) * std::tanh(c[j]);
          } else {
            const double z = Sigmoid(a[n + j] + b[n + j]);
            const double m = std::tanh(a[2 * n + j] + Sigmoid(a[j] + b[j]) * b[2 * n + j]);
            h[j] = (1 - z) * m + z * h[j];
          }
        }
        row = h;
      }
    }
    if (tokens == nullptr) x = {x.back()};
    return Linear(x, "output");
  }

  const v1::ModelSpec& spec_;
  const std::vector<double>& weights_;
  std::map<std::string, const Parameter*> parameters_;
};

}  // namespace lockstep::engine
