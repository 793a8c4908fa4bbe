#include "common/text/utf8.h"

#include <utf8proc.h>

#include <array>

#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

// White_Space, as the regular expressions of GPT-2 and its successors understand \s.
bool IsSpace(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

CharacterClass Classify(uint32_t code) {
  if (IsSpace(code)) return CharacterClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::kNumber;
    default:
      return CharacterClass::kOther;
  }
}

}  // namespace

Utf8Character DecodeUtf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const Utf8Character invalid{first, 1, false};
  const uint32_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() - at < bytes) return invalid;
  uint32_t code = first & (0x7Fu >> bytes);
  for (uint32_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return invalid;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return invalid;
  return {code, bytes, true};
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto tail = [&](int shift) { out->push_back(static_cast<char>(0x80 | (code >> shift & 0x3F))); };
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | code >> 12));
    tail(6);
    tail(0);
  } else {
    out->push_back(static_cast<char>(0xF0 | code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

absl::StatusOr<int64_t> CountCharacters(std::string_view text) {
  int64_t characters = 0;
  for (size_t at = 0; at < text.size(); ++characters) {
    const Utf8Character character = DecodeUtf8(text, at);
    if (!character.valid) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "byte %d: expected UTF-8 text, got the byte 0x%02x where no character begins%s", at, character.code,
          text.size() - at < 4 && character.code >= 0xC2
              ? "; is the file cut off in the middle of a character?"
              : "; the file is binary or in another encoding, which `iconv -f latin1 -t utf-8` "
                "would convert"));
    }
    at += character.bytes;
  }
  return characters;
}

std::string CharacterText(uint32_t code) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  const bool visible = category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
  if (!visible) return absl::StrFormat("U+%04X", code);
  std::string text = "'";
  AppendUtf8(code, &text);
  return absl::StrFormat("%s' (U+%04X)", text, code);
}

CharacterClass ClassOf(uint32_t code) {
  static const std::array<CharacterClass, 128> kAscii = [] {
    std::array<CharacterClass, 128> classes;
    for (uint32_t c = 0; c < 128; ++c) classes[c] = Classify(c);
    return classes;
  }();
  return code < 128 ? kAscii[code] : Classify(code);
}

}  // namespace lockstep
