#include "common/text/byte_pair_tokenizer.h"

#include <algorithm>
#include <queue>

#include "absl/strings/str_format.h"
#include "common/text/byte_alphabet.h"
#include "common/text/pretokenizer.h"
#include "common/text/utf8.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

// Pieces remembered in one call; beyond it the cache starts anew.
constexpr size_t kMaxCached = 1 << 18;

}  // namespace

absl::StatusOr<std::unique_ptr<BytePairTokenizer>> BytePairTokenizer::Make(
    std::vector<std::string> letters, const std::vector<std::string>& merges) {
  if (letters.size() > kMaxVocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat("the vocabulary has ", letters.size(), " tokens, expected at most ", kMaxVocabulary));
  }
  auto self = std::unique_ptr<BytePairTokenizer>(new BytePairTokenizer());
  self->letters_ = std::move(letters);
  absl::flat_hash_map<std::string_view, int32_t> id_of;
  for (size_t i = 0; i < self->letters_.size(); ++i) {
    const std::string& text = self->letters_[i];
    if (const auto [first, inserted] = id_of.try_emplace(text, static_cast<int32_t>(i)); !inserted) {
      return absl::InvalidArgumentError(
          absl::StrCat("token \"", text, "\" has two ids, ", first->second, " and ", i));
    }
    self->bytes_.push_back(LettersToBytes(text).value_or(text));
  }
  for (int b = 0; b < kBytes; ++b) {
    std::string letter;
    AppendUtf8(LetterOfByte(static_cast<uint8_t>(b)), &letter);
    const auto found = id_of.find(letter);
    if (found == id_of.end()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the vocabulary has no token \"%s\" for the byte 0x%02x, so it is not a byte-level "
                          "one; expected GPT-2's kind, with a token for each of the 256 bytes",
                          letter, b));
    }
    self->id_of_byte_[b] = found->second;
  }
  for (const std::string& merge : merges) {
    const std::string who = absl::StrCat("merge ", self->merges_.size() + 1, ", \"", merge, "\"");
    const size_t blank = merge.find(' ');
    if (blank == 0 || blank == std::string::npos || blank + 1 == merge.size() ||
        merge.find(' ', blank + 1) != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(who, ": expected two tokens with a blank between them"));
    }
    int32_t ids[3];
    const std::string parts[3] = {merge.substr(0, blank), merge.substr(blank + 1),
                                  merge.substr(0, blank) + merge.substr(blank + 1)};
    for (int i = 0; i < 3; ++i) {
      const auto found = id_of.find(parts[i]);
      if (found == id_of.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat(who, ": \"", parts[i],
                         "\" is not in the vocabulary; do vocab.json and merges.txt belong together?"));
      }
      ids[i] = found->second;
    }
    const auto rank = static_cast<int32_t>(self->merges_.size());
    if (!self->joined_.try_emplace(PairKey(ids[0], ids[1]), Joined{rank, ids[2]}).second) {
      return absl::InvalidArgumentError(absl::StrCat(who, ": is listed twice"));
    }
    self->merges_.emplace_back(ids[0], ids[1]);
  }
  return self;
}

absl::Status BytePairTokenizer::Encode(std::string_view text, std::vector<int32_t>* tokens) const {
  absl::flat_hash_map<std::string_view, std::pair<size_t, size_t>> cache;  // where in `tokens` it was written
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(text, at);
    const std::string_view piece = text.substr(at, end - at);
    at = end;
    if (cache.size() >= kMaxCached) cache.clear();
    const auto [found, inserted] = cache.try_emplace(piece);
    if (inserted) {
      const size_t first = tokens->size();
      EncodePiece(piece, tokens);
      found->second = {first, tokens->size() - first};
    } else {
      const auto [first, count] = found->second;
      for (size_t i = 0; i < count; ++i) tokens->push_back((*tokens)[first + i]);
    }
  }
  return absl::OkStatus();
}

// The tokens of the piece form a linked list; a heap holds the joins that are possible, by rank and then from
// the left. A join that is popped after one of its sides has changed is dropped.
void BytePairTokenizer::EncodePiece(std::string_view piece, std::vector<int32_t>* tokens) const {
  struct Link {
    int32_t id, previous, next;
  };
  struct Candidate {
    int32_t rank, at, left, right;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto size = static_cast<int32_t>(piece.size());
  std::vector<Link> links(piece.size());
  for (int32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(piece[static_cast<size_t>(i)]);
    links[static_cast<size_t>(i)] = {id_of_byte_[byte], i - 1, i + 1};
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto link = [&](int32_t at) -> Link& { return links[static_cast<size_t>(at)]; };
  const auto offer = [&](int32_t at) {
    if (at < 0 || link(at).next >= size) return;
    const int32_t left = link(at).id, right = link(link(at).next).id;
    const auto found = joined_.find(PairKey(left, right));
    if (found != joined_.end()) heap.push({found->second.rank, at, left, right});
  };
  for (int32_t i = 0; i + 1 < size; ++i) offer(i);
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Link& left = link(best.at);
    if (left.id != best.left || left.next >= size || link(left.next).id != best.right) continue;
    Link& right = link(left.next);
    left.id = joined_.find(PairKey(best.left, best.right))->second.id;
    right.id = -1;
    left.next = right.next;
    if (left.next < size) link(left.next).previous = best.at;
    offer(left.previous);
    offer(best.at);
  }
  for (int32_t at = 0; at < size; at = link(at).next) tokens->push_back(link(at).id);
}

std::string BytePairTokenizer::MergeText(const Merge& merge) const {
  return absl::StrCat(letters_[static_cast<size_t>(merge.first)], " ",
                      letters_[static_cast<size_t>(merge.second)]);
}

nlohmann::ordered_json BytePairTokenizer::ToJson() const {
  nlohmann::ordered_json merges = nlohmann::ordered_json::array();
  for (const Merge& merge : merges_) merges.push_back(MergeText(merge));
  return {{"bpe", {{"tokens", letters_}, {"merges", std::move(merges)}}}};
}

absl::StatusOr<std::unique_ptr<BytePairTokenizer>> BytePairTokenizer::FromJson(const nlohmann::json& json) {
  std::vector<std::string> lists[2];
  const char* const names[2] = {"tokens", "merges"};
  for (int i = 0; i < 2; ++i) {
    if (!json.is_object() || !json.contains(names[i]) || !json[names[i]].is_array()) {
      return absl::InvalidArgumentError(absl::StrCat("bpe.", names[i], ": expected a list of strings"));
    }
    for (const auto& item : json[names[i]]) {
      if (!item.is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat("bpe.", names[i], "[", lists[i].size(), "]: expected a string"));
      }
      lists[i].push_back(item.get<std::string>());
    }
  }
  absl::StatusOr<std::unique_ptr<BytePairTokenizer>> made = Make(std::move(lists[0]), lists[1]);
  if (!made.ok()) return Annotate(made.status(), "bpe");
  return made;
}

std::pair<std::string, std::string> BytePairTokenizer::Files() const {
  nlohmann::ordered_json vocabulary = nlohmann::ordered_json::object();
  // ordered_json searches its whole list at operator[]: a pair is appended instead.
  auto& items = vocabulary.get_ref<nlohmann::ordered_json::object_t&>();
  for (size_t id = 0; id < letters_.size(); ++id) items.emplace_back(letters_[id], id);
  std::string merges = "#version: 0.2\n";
  for (const Merge& merge : merges_) absl::StrAppend(&merges, MergeText(merge), "\n");
  return {vocabulary.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), std::move(merges)};
}

}  // namespace lockstep
