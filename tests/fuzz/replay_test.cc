// Feeds a corpus to the fuzz target beside it: what the fuzzer once found stays found. A corpus is a text:
// one input a line, with C's escapes; lines that begin with # are comments.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

TEST(Corpus, InputHarmsTheReader) {
  std::ifstream corpus(LOCKSTEP_CORPUS);
  int inputs = 0;
  for (std::string line; std::getline(corpus, line);) {
    if (!line.empty() && line[0] == '#') continue;
    std::string bytes;
    ASSERT_TRUE(absl::CUnescape(line, &bytes)) << LOCKSTEP_CORPUS << ": " << line;
    // A copy of exactly that size, so that AddressSanitizer sees a byte read behind it.
    const std::vector<uint8_t> input(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++inputs;
  }
  EXPECT_GT(inputs, 0) << LOCKSTEP_CORPUS;
}

}  // namespace
