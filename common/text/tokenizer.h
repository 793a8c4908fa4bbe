// Between text and token ids 0 .. vocabulary()-1. Two kinds: characters (character_tokenizer.h) and byte
// pairs (byte_pair_tokenizer.h). Immutable; safe to use from several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "nlohmann/json_fwd.hpp"

namespace lockstep {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int32_t vocabulary() const = 0;
  // The id that stands for whatever the vocabulary lacks; -1 where it lacks nothing.
  virtual int32_t unknown() const = 0;

  // Appends the ids of `text`. INVALID_ARGUMENT: characters alone, text that is not UTF-8 (names the byte).
  virtual absl::Status Encode(std::string_view text, std::vector<int32_t>* tokens) const = 0;

  // INVALID_ARGUMENT: an id out of the vocabulary (names its position).
  absl::StatusOr<std::string> Decode(std::span<const int32_t> tokens) const;

  // What `id` stands for. REQUIRES: 0 <= id < vocabulary().
  virtual std::string_view Text(int32_t id) const = 0;

  // For preprocessing.json: {"char": ...} or {"bpe": ...}.
  virtual nlohmann::ordered_json ToJson() const = 0;
};

// What ToJson wrote. INVALID_ARGUMENT names the field.
absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerFromJson(const nlohmann::json& json);

// From a tokenizer folder (vocab.json, merges.txt), a vocab.json with merges.txt beside it, or a model folder
// (preprocessing.json). NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT name the file.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path);

}  // namespace lockstep
