#include "common/text/byte_pair_training.h"

#include <algorithm>
#include <queue>

#include "common/text/byte_alphabet.h"
#include "common/text/pretokenizer.h"

namespace lockstep {
namespace {

constexpr int64_t kLeastCount = 2;

struct Word {
  std::vector<int32_t> tokens;
  int64_t count = 0;
};

struct Pair {
  int64_t count = 0;
  std::vector<uint32_t> words;  // where it occurs, or did; may repeat
};

struct Candidate {
  int64_t count;
  int32_t left, right;
  // The heap's top is the largest: high count first, then small ids.
  bool operator<(const Candidate& other) const {
    if (count != other.count) return count < other.count;
    return left != other.left ? left > other.left : right > other.right;
  }
};

// In order of first occurrence, so that nothing depends on a hash table's order.
std::vector<Word> CountWords(std::string_view text, const int32_t* id_of_byte) {
  absl::flat_hash_map<std::string_view, size_t> index;
  std::vector<Word> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(text, at);
    const std::string_view piece = text.substr(at, end - at);
    at = end;
    const auto [found, inserted] = index.try_emplace(piece, words.size());
    if (inserted) {
      Word& word = words.emplace_back();
      for (const char byte : piece) word.tokens.push_back(id_of_byte[static_cast<uint8_t>(byte)]);
    }
    ++words[found->second].count;
  }
  return words;
}

class Trainer {
 public:
  explicit Trainer(std::vector<Word> words) : words_(std::move(words)) {
    for (uint32_t w = 0; w < words_.size(); ++w) {
      const std::vector<int32_t>& tokens = words_[w].tokens;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) Add(tokens[i], tokens[i + 1], w, words_[w].count);
    }
    for (const auto& [key, pair] : pairs_) {
      heap_.push({pair.count, static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xFFFFFFFF)});
    }
  }

  // The pair to merge next; false: none occurs often enough.
  bool Best(int32_t* left, int32_t* right) {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      const int64_t count = pairs_[PairKey(top.left, top.right)].count;
      if (count < kLeastCount) continue;
      if (count != top.count) {  // it changed since it was offered
        if (count < top.count) heap_.push({count, top.left, top.right});
        continue;
      }
      *left = top.left;
      *right = top.right;
      return true;
    }
    return false;
  }

  void Merge(int32_t left, int32_t right, int32_t merged) {
    std::vector<uint32_t> where = std::move(pairs_[PairKey(left, right)].words);
    std::sort(where.begin(), where.end());
    where.erase(std::unique(where.begin(), where.end()), where.end());
    for (const uint32_t w : where) MergeInWord(w, left, right, merged);
    pairs_.erase(PairKey(left, right));
    for (const auto& [key, unused] : grown_) {
      const auto found = pairs_.find(key);
      if (found == pairs_.end()) continue;
      heap_.push(
          {found->second.count, static_cast<int32_t>(key >> 32), static_cast<int32_t>(key & 0xFFFFFFFF)});
    }
    grown_.clear();
  }

 private:
  void Add(int32_t left, int32_t right, uint32_t word, int64_t count) {
    Pair& pair = pairs_[PairKey(left, right)];
    pair.count += count;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }

  void MergeInWord(uint32_t w, int32_t left, int32_t right, int32_t merged) {
    Word& word = words_[w];
    std::vector<int32_t>& tokens = word.tokens;
    const auto gone = [&](int32_t a, int32_t b) {
      if (const auto found = pairs_.find(PairKey(a, b)); found != pairs_.end())
        found->second.count -= word.count;
    };
    const auto come = [&](int32_t a, int32_t b) {
      Add(a, b, w, word.count);
      grown_[PairKey(a, b)] = true;
    };
    size_t to = 0;
    for (size_t from = 0; from < tokens.size(); ++to) {
      const bool joins = from + 1 < tokens.size() && tokens[from] == left && tokens[from + 1] == right;
      if (!joins) {
        tokens[to] = tokens[from++];
        continue;
      }
      if (to > 0) {
        gone(tokens[to - 1], left);
        come(tokens[to - 1], merged);
      }
      if (from + 2 < tokens.size()) {
        gone(right, tokens[from + 2]);
        come(merged, tokens[from + 2]);
      }
      tokens[to] = merged;
      from += 2;
    }
    tokens.resize(to);
  }

  std::vector<Word> words_;
  absl::flat_hash_map<uint64_t, Pair> pairs_;
  absl::flat_hash_map<uint64_t, bool> grown_;  // by the merge at hand
  std::priority_queue<Candidate> heap_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BytePairTokenizer>> TrainBytePairs(std::string_view text, int32_t vocabulary) {
  if (vocabulary <= BytePairTokenizer::kBytes || vocabulary > BytePairTokenizer::kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(
        "vocabulary: expected ", BytePairTokenizer::kBytes + 1, " to ", BytePairTokenizer::kMaxVocabulary,
        " tokens (each of the 256 bytes is one), got ", vocabulary));
  }
  if (text.empty()) return absl::InvalidArgumentError("expected a text to learn byte pairs from, got none");
  std::vector<std::string> letters;
  int32_t id_of_byte[BytePairTokenizer::kBytes];
  absl::flat_hash_map<std::string, int32_t> id_of;
  for (int32_t id = 0; id < BytePairTokenizer::kBytes; ++id) {
    const uint8_t byte = ByteOfRank(id);
    id_of_byte[byte] = id;
    letters.push_back(BytesToLetters(std::string(1, static_cast<char>(byte))));
    id_of[letters.back()] = id;
  }
  Trainer trainer(CountWords(text, id_of_byte));
  std::vector<std::string> merges;
  int32_t left = 0, right = 0;
  while (letters.size() < static_cast<size_t>(vocabulary) && trainer.Best(&left, &right)) {
    const std::string& a = letters[static_cast<size_t>(left)];
    const std::string& b = letters[static_cast<size_t>(right)];
    merges.push_back(absl::StrCat(a, " ", b));
    const auto [found, inserted] =
        id_of.try_emplace(absl::StrCat(a, b), static_cast<int32_t>(letters.size()));
    if (inserted) letters.push_back(found->first);
    trainer.Merge(left, right, found->second);
  }
  return BytePairTokenizer::Make(std::move(letters), merges);
}

}  // namespace lockstep
