// The readers of tokenizers over any bytes: as vocab.json and merges.txt (parted by a zero byte), and as the
// tokenizer of a preprocessing.json. What they take decodes what it encodes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/byte_pair_tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz.h"

namespace {

void Use(const lockstep::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens;
  if (!tokenizer.Encode(text, &tokens).ok()) return;
  for (const int32_t token : tokens) FUZZ_CHECK(token >= 0 && token < tokenizer.vocabulary());
  const auto decoded = tokenizer.Decode(tokens);
  FUZZ_CHECK(decoded.ok());
  if (tokenizer.unknown() < 0) FUZZ_CHECK(*decoded == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  static const ScratchFolder folder;
  const std::string vocabulary = folder.Write(lockstep::kVocabularyFile, input.substr(0, end));
  const std::string merges = folder.Write(lockstep::kMergesFile, end < size ? input.substr(end + 1) : "");
  if (const auto tokenizer = lockstep::BytePairTokenizer::Load(vocabulary, merges); tokenizer.ok()) {
    Use(**tokenizer, input);
  }
  const nlohmann::json json = nlohmann::json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  if (const auto tokenizer = lockstep::TokenizerFromJson(json); tokenizer.ok()) Use(**tokenizer, input);
  return 0;
}
