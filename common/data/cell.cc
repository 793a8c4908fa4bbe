#include "common/data/cell.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lockstep {

bool ParseNumber(std::string_view text, double* value) {
  // Short integers, most cells of most files: exact in a double.
  if (!text.empty() && text.size() <= 15) {
    const bool negative = text[0] == '-';
    int64_t integer = 0;
    size_t i = negative ? 1 : 0;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) integer = integer * 10 + (text[i] - '0');
    if (i == text.size() && i > (negative ? 1u : 0u)) {
      *value = static_cast<double>(negative ? -integer : integer);
      return true;
    }
  }
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value, std::chars_format::general);
  if (stop != end || text.empty()) return false;
  if (error == std::errc::result_out_of_range) {
    // Overflow or underflow: from_chars does not say which.
    *value = std::strtod(std::string(text).c_str(), nullptr);
    return std::isfinite(*value);
  }
  return error == std::errc() && std::isfinite(*value);
}

bool IsMissing(std::string_view text, bool quoted) {
  if (text.empty()) return true;
  if (quoted || text.size() > 4 || (text[0] != 'N' && text[0] != 'n')) return false;
  const absl::string_view word(text.data(), text.size());
  return absl::EqualsIgnoreCase(word, "na") || absl::EqualsIgnoreCase(word, "nan") ||
         absl::EqualsIgnoreCase(word, "null");
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    const int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    if (more < 0 || i + static_cast<size_t>(more) >= text.size()) return false;
    uint32_t code = more == 0 ? lead : lead & (0x3Fu >> more);
    for (int k = 1; k <= more; ++k) {
      const unsigned char next = static_cast<unsigned char>(text[i + static_cast<size_t>(k)]);
      if (next >> 6 != 2) return false;
      code = code << 6 | (next & 0x3Fu);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 60;
  const bool cut = text.size() > kLongest;
  std::string_view shown = text.substr(0, kLongest);
  // Do not cut a character in two.
  while (cut && !shown.empty() && !IsUtf8(shown) && shown.size() > kLongest - 4) shown.remove_suffix(1);
  return absl::StrCat("'",
                      IsUtf8(shown) ? absl::Utf8SafeCEscape({shown.data(), shown.size()})
                                    : absl::CHexEscape({shown.data(), shown.size()}),
                      cut ? "...'" : "'");
}

std::string NumberName(double value) {
  if (value == std::floor(value) && std::fabs(value) < 9e15) return absl::StrCat(static_cast<int64_t>(value));
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return error == std::errc() ? std::string(buffer, end) : std::string("?");
}

}  // namespace lockstep
