#include "common/text/byte_alphabet.h"
#include "common/text/character_tokenizer.h"
#include "common/text/pretokenizer.h"
#include "common/text/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Pieces(std::string_view text) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = PieceEnd(text, at);
    EXPECT_GT(end, at);
    pieces.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return pieces;
}

TEST(Utf8, EveryCharacterIsReadBackAsItWasWritten) {
  for (uint32_t code = 0; code <= 0x10FFFF; code += code < 0x900 ? 1 : 37) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(code, &text);
    const Utf8Character character = DecodeUtf8(text, 0);
    ASSERT_TRUE(character.valid) << code;
    ASSERT_EQ(character.code, code);
    ASSERT_EQ(character.bytes, text.size());
    ASSERT_FALSE(text.size() > 1 && DecodeUtf8(text.substr(0, text.size() - 1), 0).valid) << code;
  }
}

TEST(Utf8, WhatUnicodeForbidsIsRefusedWithItsOffset) {
  const std::string forbidden[] = {
      "\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
      "\xC3", "\xC3("};
  for (const std::string& bytes : forbidden) {
    EXPECT_FALSE(DecodeUtf8(bytes, 0).valid) << testing::PrintToString(bytes);
    const absl::Status status = CountCharacters("é\n" + bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("byte 3: expected UTF-8 text"));
  }
  EXPECT_EQ(CountCharacters("aé€😀").value(), 4);
}

TEST(Utf8, ClassesAreUnicodes) {
  for (const uint32_t letter : {0x41u, 0xE9u, 0x3B1u, 0x4E2Du, 0x2B0u}) {
    EXPECT_EQ(ClassOf(letter), CharacterClass::kLetter) << letter;
  }
  for (const uint32_t number : {0x30u, 0xB2u, 0x661u, 0x2167u}) {
    EXPECT_EQ(ClassOf(number), CharacterClass::kNumber) << number;
  }
  for (const uint32_t space : {0x20u, 0x0Au, 0xA0u, 0x3000u, 0x85u}) {
    EXPECT_EQ(ClassOf(space), CharacterClass::kSpace) << space;
  }
  // A joining mark is no letter, nor is the zero-width space a space.
  for (const uint32_t other : {0x21u, 0x301u, 0x200Bu, 0x1F600u, 0x1Cu}) {
    EXPECT_EQ(ClassOf(other), CharacterClass::kOther) << other;
  }
}

TEST(ByteAlphabet, IsGpt2s) {
  EXPECT_EQ(BytesToLetters(" the\n"), "ĠtheĊ");
  EXPECT_EQ(LetterOfByte(0), 0x100u);
  EXPECT_EQ(LetterOfByte(0x7F), 0x121u);
  EXPECT_EQ(LetterOfByte(0xAD), 0x143u);
  EXPECT_EQ(ByteOfRank(0), '!');
  EXPECT_EQ(ByteOfRank(255), 0xAD);
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  EXPECT_EQ(LettersToBytes(BytesToLetters(all)), all);
  EXPECT_EQ(LettersToBytes("a b"), std::nullopt) << "a blank is no letter";
}

TEST(Pretokenizer, CutsAsGpt2sPatternDoes) {
  EXPECT_THAT(Pieces("Hello world, it's 2024!!"),
              ElementsAre("Hello", " world", ",", " it", "'s", " 2024", "!!"));
  EXPECT_THAT(Pieces("a  b"), ElementsAre("a", " ", " b")) << "the last blank goes with the word";
  EXPECT_THAT(Pieces("a \n b\n\nc"), ElementsAre("a", " \n", " b", "\n", "\n", "c"));
  EXPECT_THAT(Pieces("end  \n"), ElementsAre("end", "  \n")) << "at the end the run stays whole";
  EXPECT_THAT(Pieces("\t\tx"), ElementsAre("\t", "\t", "x"));
  EXPECT_THAT(Pieces("we'll 'tis I'VE 'z"),
              ElementsAre("we", "'ll", " '", "tis", " I", "'", "VE", " '", "z"));
  EXPECT_THAT(Pieces("x=3.14é²"), ElementsAre("x", "=", "3", ".", "14", "é", "²"));
  EXPECT_THAT(Pieces("a\u00A0b"), ElementsAre("a", "\u00A0", "b"));
  EXPECT_THAT(Pieces("''s"), ElementsAre("''", "s"));
}

TEST(Pretokenizer, BytesThatAreNotUtf8AreCutToo) {
  EXPECT_THAT(Pieces("a\xFF\xFE b\xC3"), ElementsAre("a", "\xFF\xFE", " b", "\xC3"));
}

TEST(CharacterTokenizer, IdsFollowCodePointsAndAnythingElseIsTheLast) {
  const auto made = CharacterTokenizer::Fit("béa\nb€");
  ASSERT_TRUE(made.ok()) << made.status();
  const Tokenizer& tokenizer = **made;
  EXPECT_EQ(tokenizer.vocabulary(), 6);
  std::vector<int32_t> tokens;
  ASSERT_TRUE(tokenizer.Encode("\nabé€zλ", &tokens).ok());
  EXPECT_THAT(tokens, ElementsAre(0, 1, 2, 3, 4, 5, 5));
  EXPECT_EQ(tokenizer.unknown(), 5);
  EXPECT_EQ(tokenizer.Decode(tokens).value(), "\nabé€\uFFFD\uFFFD");
  const auto again = TokenizerFromJson(nlohmann::json::parse(tokenizer.ToJson().dump()));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->Decode(tokens).value(), "\nabé€\uFFFD\uFFFD");
}

TEST(CharacterTokenizer, BadInputIsRefused) {
  EXPECT_FALSE(CharacterTokenizer::Fit("").ok());
  EXPECT_THAT(std::string(CharacterTokenizer::Fit("ab\xFF").status().message()), HasSubstr("byte 2"));
  const auto tokenizer = CharacterTokenizer::Fit("ab").value();
  std::vector<int32_t> tokens;
  EXPECT_THAT(std::string(tokenizer->Encode("a\xC3", &tokens).message()), HasSubstr("byte 1"));
  const std::vector<int32_t> outside = {0, 3};
  EXPECT_THAT(std::string(tokenizer->Decode(outside).status().message()),
              AllOf(HasSubstr("token 2 of 2 is 3"), HasSubstr("0 .. 2")));
  for (const char* text : {"null", "{}", R"({"char":{}})", R"({"char":{"characters":["b","a"]}})",
                           R"({"char":{"characters":["ab"]}})", R"({"char":{"characters":[7]}})",
                           R"({"bpe":{"tokens":[1],"merges":[]}})", R"({"bpe":{"tokens":["a"]}})"}) {
    EXPECT_EQ(TokenizerFromJson(nlohmann::json::parse(text)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace lockstep
