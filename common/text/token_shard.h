// Token shards in llm.c's `.bin` layout (docs/formats.md): a header of 256 int32, then uint16 tokens. Reading
// is by view: a shard's tokens stay where its bytes are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

inline constexpr int32_t kTokenShardMagic = 20240520;
inline constexpr int32_t kTokenShardVersion = 1;
inline constexpr size_t kTokenShardHeaderBytes = 256 * sizeof(int32_t);
inline constexpr int32_t kTokenShardMaxVocabulary = 1 << 16;

// The tokens of one shard; the bytes must outlive it. Immutable.
class TokenShard {
 public:
  // INVALID_ARGUMENT: not such a file, or the header lies; names the offset, what was expected and what came.
  // Messages begin without the file's name.
  static absl::StatusOr<TokenShard> Parse(std::string_view content);

  int64_t size() const { return static_cast<int64_t>(tokens_.size() / sizeof(uint16_t)); }

  // tokens [first, first + count). REQUIRES: they lie inside.
  void Copy(int64_t first, int64_t count, int32_t* out) const;
  // 0 for an empty shard.
  int32_t Largest() const;
  // Position of the first token of at least `vocabulary`, -1 if there is none.
  int64_t FirstOutside(int32_t vocabulary) const;

 private:
  explicit TokenShard(std::string_view tokens) : tokens_(tokens) {}
  std::string_view tokens_;
};

bool LooksLikeTokenShard(std::string_view content);

// Writes a shard: under a temporary name beside `path`, synchronised, then renamed. INVALID_ARGUMENT: a token
// that 16 bits do not hold (names its position). Otherwise an error of the file.
absl::Status WriteTokenShard(const std::string& path, std::span<const int32_t> tokens);

}  // namespace lockstep
