// GPT-2's first cut of a text, into pieces that byte pairs never cross (Radford et al. 2019):
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// by hand: the alternatives in their order, each as long as it can be. A run of white space before a piece
// keeps its last character for that piece if it is a blank, and for itself otherwise. A byte that is no UTF-8
// counts as a character that is neither letter, number nor space, so that any bytes can be cut.
#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep {

// Where the piece that begins at `at` ends. REQUIRES: at < text.size(), and a piece begins there.
size_t PieceEnd(std::string_view text, size_t at);

}  // namespace lockstep
