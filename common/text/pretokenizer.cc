#include "common/text/pretokenizer.h"

#include "common/text/utf8.h"

namespace lockstep {
namespace {

struct Classified {
  CharacterClass kind;
  size_t end;
};

Classified At(std::string_view text, size_t at) {
  const Utf8Character character = DecodeUtf8(text, at);
  return {character.valid ? ClassOf(character.code) : CharacterClass::kOther, at + character.bytes};
}

}  // namespace

size_t PieceEnd(std::string_view text, size_t at) {
  if (text[at] == '\'') {
    for (const std::string_view suffix : {"s", "t", "re", "ve", "m", "ll", "d"}) {
      if (text.substr(at + 1, suffix.size()) == suffix) return at + 1 + suffix.size();
    }
  }
  Classified first = At(text, at);
  if (text[at] == ' ' && at + 1 < text.size()) {
    const Classified second = At(text, at + 1);
    if (second.kind != CharacterClass::kSpace) first = second;
  }
  size_t end = first.end, last = at;  // last: where the run's last character begins
  while (end < text.size()) {
    const Classified next = At(text, end);
    if (next.kind != first.kind) break;
    last = end;
    end = next.end;
  }
  // \s+(?!\S): a run of spaces with text behind it leaves its last one.
  if (first.kind == CharacterClass::kSpace && end < text.size() && last > at) return last;
  return end;
}

}  // namespace lockstep
