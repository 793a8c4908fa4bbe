// Learns byte-pair merges from a text (Sennrich et al. 2016). The pieces of the text (pretokenizer.h) are
// counted; from then on each round merges the pair of neighbouring tokens with the highest count over all
// pieces, the pair with the smaller ids (left, then right) of those with one count, and becomes the next
// token; the counts of the pairs around it are adjusted, not counted anew. Tokens 0..255 are the bytes in the
// order of their letters (byte_alphabet.h). The result is a pure function of (text, vocabulary), and the one
// that Hugging Face's BpeTrainer reaches with min_frequency 2 and the byte-level alphabet.
#pragma once

#include <memory>
#include <string_view>

#include "common/text/byte_pair_tokenizer.h"

namespace lockstep {

// At most `vocabulary` tokens: learning ends early when no pair is left that occurs twice. INVALID_ARGUMENT:
// vocabulary outside 257..1000000, or the text is empty.
absl::StatusOr<std::unique_ptr<BytePairTokenizer>> TrainBytePairs(std::string_view text, int32_t vocabulary);

}  // namespace lockstep
