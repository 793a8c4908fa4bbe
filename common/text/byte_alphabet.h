// GPT-2's alphabet: a printable character for each byte, so that any bytes can be written as text without
// white space (vocab.json, merges.txt). The 188 printable bytes of Latin-1 stand for themselves, the others
// for U+0100 and up in their order (Radford et al. 2019, bytes_to_unicode).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

// The character's code point.
uint32_t LetterOfByte(uint8_t byte);

// The bytes whose letters come in the order of their code points: the order of the first 256 tokens.
uint8_t ByteOfRank(int rank);

// "Ġthe" for " the".
std::string BytesToLetters(std::string_view bytes);

// nullopt: a character of `letters` stands for no byte.
std::optional<std::string> LettersToBytes(std::string_view letters);

}  // namespace lockstep
