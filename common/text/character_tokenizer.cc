#include "common/text/character_tokenizer.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "common/text/utf8.h"
#include "nlohmann/json.hpp"

namespace lockstep {

CharacterTokenizer::CharacterTokenizer(const std::vector<uint32_t>& codes)
    : low_(128, static_cast<int32_t>(codes.size())) {
  for (const uint32_t code : codes) {
    const auto id = static_cast<int32_t>(texts_.size());
    AppendUtf8(code, &texts_.emplace_back());
    if (code < low_.size()) {
      low_[code] = id;
    } else {
      high_[code] = id;
    }
  }
  AppendUtf8(0xFFFD, &texts_.emplace_back());
}

absl::StatusOr<std::unique_ptr<CharacterTokenizer>> CharacterTokenizer::Fit(std::string_view text) {
  if (text.empty())
    return absl::InvalidArgumentError("expected a text to take the characters from, got none");
  RETURN_IF_ERROR(CountCharacters(text).status());
  absl::flat_hash_set<uint32_t> seen;
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = DecodeUtf8(text, at);
    seen.insert(character.code);
    at += character.bytes;
  }
  std::vector<uint32_t> codes(seen.begin(), seen.end());
  std::sort(codes.begin(), codes.end());
  return std::unique_ptr<CharacterTokenizer>(new CharacterTokenizer(codes));
}

absl::StatusOr<std::unique_ptr<CharacterTokenizer>> CharacterTokenizer::FromJson(const nlohmann::json& json) {
  if (!json.is_object() || !json.contains("characters") || !json["characters"].is_array() ||
      json["characters"].empty()) {
    return absl::InvalidArgumentError("char.characters: expected a list of characters");
  }
  std::vector<uint32_t> codes;
  for (const auto& item : json["characters"]) {
    const std::string text = item.is_string() ? item.get<std::string>() : "";
    const Utf8Character character = text.empty() ? Utf8Character{} : DecodeUtf8(text, 0);
    if (text.empty() || !character.valid || character.bytes != text.size() ||
        (!codes.empty() && character.code <= codes.back())) {
      return absl::InvalidArgumentError(
          absl::StrCat("char.characters[", codes.size(),
                       "]: expected a single character above the one before it in code point order, got ",
                       item.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
    codes.push_back(character.code);
  }
  return std::unique_ptr<CharacterTokenizer>(new CharacterTokenizer(codes));
}

absl::Status CharacterTokenizer::Encode(std::string_view text, std::vector<int32_t>* tokens) const {
  ASSIGN_OR_RETURN(const int64_t characters, CountCharacters(text));
  tokens->reserve(tokens->size() + static_cast<size_t>(characters));
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = DecodeUtf8(text, at);
    at += character.bytes;
    if (character.code < low_.size()) {
      tokens->push_back(low_[character.code]);
    } else {
      const auto found = high_.find(character.code);
      tokens->push_back(found == high_.end() ? unknown() : found->second);
    }
  }
  return absl::OkStatus();
}

nlohmann::ordered_json CharacterTokenizer::ToJson() const {
  nlohmann::ordered_json characters = nlohmann::ordered_json::array();
  for (size_t id = 0; id + 1 < texts_.size(); ++id) characters.push_back(texts_[id]);
  return {{"char", {{"characters", std::move(characters)}}}};
}

}  // namespace lockstep
