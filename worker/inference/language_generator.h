// Text from a trained language model, by the very code that validated it. A model folder is all it needs:
// weights, spec, tokenizer.
//
// Each token is drawn from the model's output for the tokens before it, of which the newest sequence_length
// count (the window of training: positions beyond it were never trained). The window is computed anew for
// each token; while it is short, so is the graph that computes it (lengths of 16, 32, ...). What lies behind
// the newest token is padding, which a causal model does not look at.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/checkpoint/checkpoint.h"
#include "common/text/tokenizer.h"
#include "lockstep/v1/job_spec.pb.h"
#include "worker/engine/engine.h"
#include "worker/engine/team.h"
#include "worker/inference/sampler.h"

namespace lockstep {

class LanguageGenerator {
 public:
  // `folder` is a model folder or a checkpoint; `tokenizer`, if not empty, a tokenizer folder in place of the
  // model's own. NOT_FOUND: the folder. DATA_LOSS: a file is damaged. INVALID_ARGUMENT: it is no language
  // model, or has no tokenizer.
  static absl::StatusOr<std::unique_ptr<LanguageGenerator>> Load(const std::string& folder,
                                                                 const std::string& tokenizer, int threads);

  // Calls `text` with the bytes of each token that follows `prompt`, until there are `tokens`, the model ends
  // the text (<|endoftext|>), or `text` returns false. INVALID_ARGUMENT: the prompt is empty or has a
  // character that the model never saw (names its byte).
  absl::Status Generate(std::string_view prompt, int64_t tokens, const SamplingOptions& sampling,
                        const std::function<bool(std::string_view)>& text);

  // The model's output for the token after `prompt`, one number for each token of the vocabulary; -inf for
  // ids that stand for nothing.
  absl::StatusOr<std::vector<float>> Logits(std::string_view prompt);

 private:
  explicit LanguageGenerator(int threads) : team_(threads) {}
  absl::Status CheckPrompt(std::string_view prompt, const std::vector<int32_t>& tokens) const;
  // Makes executor_ one for windows of at least `length` tokens.
  absl::Status Plan(int length);
  absl::Status Build(int length);
  // The outputs for the token after `tokens`.
  absl::StatusOr<std::vector<float>> Next(const std::vector<int32_t>& tokens);

  std::string folder_;
  v1::JobSpec spec_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<OpenedCheckpoint> checkpoint_;
  int sequence_length_ = 0;
  int vocabulary_ = 0;
  engine::Team team_;
  int length_ = 0;  // of the model below; 0: none yet
  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<engine::Executor> executor_;
  std::vector<float> weights_, outputs_;
};

}  // namespace lockstep
