#include "common/text/byte_alphabet.h"

#include <array>

#include "common/text/utf8.h"

namespace lockstep {
namespace {

struct Alphabet {
  std::array<uint32_t, 256> letter;
  std::array<int16_t, 512> byte;  // -1: no byte
  std::array<uint8_t, 256> by_rank;

  Alphabet() {
    byte.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      letter[b] = itself ? b : next++;
      byte[letter[b]] = static_cast<int16_t>(b);
    }
    size_t rank = 0;
    for (const int16_t b : byte) {
      if (b >= 0) by_rank[rank++] = static_cast<uint8_t>(b);
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet;
  return alphabet;
}

}  // namespace

uint32_t LetterOfByte(uint8_t byte) { return TheAlphabet().letter[byte]; }

uint8_t ByteOfRank(int rank) { return TheAlphabet().by_rank[static_cast<size_t>(rank)]; }

std::string BytesToLetters(std::string_view bytes) {
  std::string letters;
  for (const char byte : bytes) AppendUtf8(LetterOfByte(static_cast<uint8_t>(byte)), &letters);
  return letters;
}

std::optional<std::string> LettersToBytes(std::string_view letters) {
  std::string bytes;
  for (size_t at = 0; at < letters.size();) {
    const Utf8Character character = DecodeUtf8(letters, at);
    if (!character.valid || character.code >= TheAlphabet().byte.size()) return std::nullopt;
    const int16_t byte = TheAlphabet().byte[character.code];
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    at += character.bytes;
  }
  return bytes;
}

}  // namespace lockstep
