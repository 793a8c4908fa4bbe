// UTF-8, one character at a time, and the three classes of characters that GPT-2's pre-tokenizer tells apart.
// Classes are Unicode's (general categories L* and N*, property White_Space), from utf8proc; the version of
// Unicode is that of the installed library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

struct Utf8Character {
  uint32_t code = 0;   // code point; of an invalid byte, the byte itself
  uint32_t bytes = 1;  // length of its encoding; 1 for an invalid byte
  bool valid =
      true;  // false: no character begins here (wrong, overlong, surrogate, beyond U+10FFFF, cut off)
};

// The character that begins at text[at]. REQUIRES: at < text.size().
Utf8Character DecodeUtf8(std::string_view text, size_t at);

// REQUIRES: code <= 0x10FFFF and no surrogate.
void AppendUtf8(uint32_t code, std::string* out);

// Characters in `text`. INVALID_ARGUMENT names the byte's offset and value, and a likely cause.
absl::StatusOr<int64_t> CountCharacters(std::string_view text);

// "'é' (U+00E9)", printable or not.
std::string CharacterText(uint32_t code);

enum class CharacterClass : uint8_t { kLetter, kNumber, kSpace, kOther };
CharacterClass ClassOf(uint32_t code);

}  // namespace lockstep
