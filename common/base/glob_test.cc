#include "common/base/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

TEST(MatchesGlob, PlainTextMatchesOtherText) {
  EXPECT_TRUE(MatchesGlob("layers.0.weight", "layers.0.weight"));
  EXPECT_FALSE(MatchesGlob("layers.0.weight", "layers.0.weights"));
  EXPECT_FALSE(MatchesGlob("layers.0.weight", "layersx0.weight"));
  EXPECT_TRUE(MatchesGlob("", ""));
  EXPECT_FALSE(MatchesGlob("", "a"));
}

TEST(MatchesGlob, StarDoesNotStandForAnyCharacters) {
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("*", "a.b"));
  EXPECT_TRUE(MatchesGlob("h.*.attn.*", "h.11.attn.c_attn.weight"));
  EXPECT_TRUE(MatchesGlob("*.bias", "h.0.bias.bias"));  // the first .bias is not the last
  EXPECT_TRUE(MatchesGlob("a**b", "ab"));
  EXPECT_FALSE(MatchesGlob("*.bias", "h.0.bias.weight"));
  EXPECT_FALSE(MatchesGlob("h.0.*", "h.10.weight"));
}

TEST(MatchesGlob, QuestionMarkDoesNotStandForOneCharacter) {
  EXPECT_TRUE(MatchesGlob("h.?.weight", "h.3.weight"));
  EXPECT_FALSE(MatchesGlob("h.?.weight", "h.13.weight"));
  EXPECT_FALSE(MatchesGlob("h.?", "h."));
}

TEST(MatchesGlob, ManyStarsTakeExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(MatchesGlob(pattern + "*b", std::string(10000, 'a')));
}

}  // namespace
}  // namespace lockstep
