// Byte-level byte-pair encoding as GPT-2's (Sennrich et al. 2016; Radford et al. 2019). A text is cut into
// pieces (pretokenizer.h); a piece starts as one token for each of its bytes; of all neighbours that some
// merge joins, those of the merge learned first are joined, leftmost first, until none is left. Every byte
// has a token, so any bytes can be encoded, and Decode(Encode(x)) == x.
//
// A merge's result may be a token that another merge makes as well. Names such as "<|endoftext|>" that
// no merge makes are tokens that Decode writes out and that Encode, for which all text is text, never gives.
//
// A piece of n bytes takes O(n log n); pieces met before in one call come from a cache.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/text/tokenizer.h"

namespace lockstep {

// A pair of neighbouring tokens, for hash tables.
inline uint64_t PairKey(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

class BytePairTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kBytes = 256;
  static constexpr int32_t kMaxVocabulary = 1000000;
  using Merge = std::pair<int32_t, int32_t>;  // ids, left and right

  // `letters`: the tokens by id, in the letters of byte_alphabet.h; `merges` in the order they were learned,
  // as written ("Ġ t"). INVALID_ARGUMENT: a byte without a token, a token twice, a merge of or to an unknown
  // token (counted from 1).
  static absl::StatusOr<std::unique_ptr<BytePairTokenizer>> Make(std::vector<std::string> letters,
                                                                 const std::vector<std::string>& merges);
  static absl::StatusOr<std::unique_ptr<BytePairTokenizer>> FromJson(const nlohmann::json& json);

  // GPT-2's two files, as Hugging Face's tokenizers read and write them. Errors name file and line.
  static absl::StatusOr<std::unique_ptr<BytePairTokenizer>> Load(const std::string& vocabulary_path,
                                                                 const std::string& merges_path);
  // Writes them into `folder`, which is made if it is not there.
  absl::Status Save(const std::string& folder) const;
  // {vocab.json, merges.txt} as bytes.
  std::pair<std::string, std::string> Files() const;

  int32_t vocabulary() const override { return static_cast<int32_t>(letters_.size()); }
  int32_t unknown() const override { return -1; }
  absl::Status Encode(std::string_view text, std::vector<int32_t>* tokens) const override;
  std::string_view Text(int32_t id) const override { return bytes_[static_cast<size_t>(id)]; }
  nlohmann::ordered_json ToJson() const override;
  const std::vector<Merge>& merges() const { return merges_; }

 private:
  struct Joined {
    int32_t rank;
    int32_t id;
  };
  BytePairTokenizer() = default;
  void EncodePiece(std::string_view piece, std::vector<int32_t>* tokens) const;
  std::string MergeText(const Merge& merge) const;

  std::vector<std::string> letters_, bytes_;  // by id
  std::vector<Merge> merges_;
  int32_t id_of_byte_[kBytes];
  absl::flat_hash_map<uint64_t, Joined> joined_;  // by left id << 32 | right id
};

// The names of the two files in a tokenizer folder.
inline constexpr char kVocabularyFile[] = "vocab.json";
inline constexpr char kMergesFile[] = "merges.txt";

// vocab.json and merges.txt that `path` means: a folder with both, or a vocab.json. NOT_FOUND names what is
// missing.
absl::StatusOr<std::pair<std::string, std::string>> TokenizerFiles(const std::string& path);

}  // namespace lockstep
