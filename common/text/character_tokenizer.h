// One token for each Unicode character of a text, in code point order, and a last one for any other
// character: text that is met after training must not stop a validation, and costs what an unseen character
// should (its logit was never trained). It decodes to U+FFFD.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/text/tokenizer.h"

namespace lockstep {

class CharacterTokenizer : public Tokenizer {
 public:
  // INVALID_ARGUMENT: `text` is empty or not UTF-8 (names the byte).
  static absl::StatusOr<std::unique_ptr<CharacterTokenizer>> Fit(std::string_view text);
  static absl::StatusOr<std::unique_ptr<CharacterTokenizer>> FromJson(const nlohmann::json& json);

  int32_t vocabulary() const override { return static_cast<int32_t>(texts_.size()); }
  int32_t unknown() const override { return vocabulary() - 1; }
  absl::Status Encode(std::string_view text, std::vector<int32_t>* tokens) const override;
  std::string_view Text(int32_t id) const override { return texts_[static_cast<size_t>(id)]; }
  nlohmann::ordered_json ToJson() const override;

 private:
  explicit CharacterTokenizer(const std::vector<uint32_t>& codes);

  std::vector<std::string> texts_;  // by id; the last is U+FFFD for the unknown
  std::vector<int32_t> low_;        // id by code point below 128; unknown() if it has none
  absl::flat_hash_map<uint32_t, int32_t> high_;
};

}  // namespace lockstep
