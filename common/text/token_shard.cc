#include "common/text/token_shard.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "common/checkpoint/durable_file.h"

namespace lockstep {
namespace {

static_assert(std::endian::native == std::endian::little);

int32_t HeaderField(std::string_view content, size_t index) {
  int32_t value;
  std::memcpy(&value, content.data() + index * sizeof(value), sizeof(value));
  return value;
}

uint16_t TokenAt(std::string_view tokens, size_t index) {
  uint16_t token;
  std::memcpy(&token, tokens.data() + index * sizeof(token), sizeof(token));
  return token;
}

}  // namespace

bool LooksLikeTokenShard(std::string_view content) {
  return content.size() >= kTokenShardHeaderBytes && HeaderField(content, 0) == kTokenShardMagic;
}

absl::StatusOr<TokenShard> TokenShard::Parse(std::string_view content) {
  const auto lie = [](auto... parts) {
    return absl::InvalidArgumentError(absl::StrCat("not a token shard of llm.c: ", parts...));
  };
  if (content.size() < kTokenShardHeaderBytes) {
    return lie("its header takes ", kTokenShardHeaderBytes, " bytes, the file has ", content.size());
  }
  if (const int32_t magic = HeaderField(content, 0); magic != kTokenShardMagic) {
    return lie("byte 0: expected the magic ", kTokenShardMagic, ", got ", magic,
               "; `lockstep tokenizer tokens` writes such shards");
  }
  if (const int32_t version = HeaderField(content, 1); version != kTokenShardVersion) {
    return lie("byte 4: expected version ", kTokenShardVersion, " (16-bit tokens), got ", version);
  }
  const int32_t count = HeaderField(content, 2);
  const size_t have = content.size() - kTokenShardHeaderBytes;
  if (count < 0 || static_cast<uint64_t>(count) * sizeof(uint16_t) != have) {
    return lie("byte 8: the header promises ", count, " tokens of 2 bytes, but ", have,
               " bytes follow it; was the file cut off, or the header not brought up to date?");
  }
  return TokenShard(content.substr(kTokenShardHeaderBytes));
}

void TokenShard::Copy(int64_t first, int64_t count, int32_t* out) const {
  for (int64_t i = 0; i < count; ++i) out[i] = TokenAt(tokens_, static_cast<size_t>(first + i));
}

int32_t TokenShard::Largest() const {
  uint16_t largest = 0;
  for (size_t i = 0; i < static_cast<size_t>(size()); ++i) largest = std::max(largest, TokenAt(tokens_, i));
  return largest;
}

int64_t TokenShard::FirstOutside(int32_t vocabulary) const {
  for (int64_t i = 0; i < size(); ++i) {
    if (TokenAt(tokens_, static_cast<size_t>(i)) >= vocabulary) return i;
  }
  return -1;
}

absl::Status WriteTokenShard(const std::string& path, std::span<const int32_t> tokens) {
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", tokens.size(),
                                                   " tokens are too many for one shard (at most 2147483647); "
                                                   "cut the text into several"));
  }
  std::vector<char> bytes(kTokenShardHeaderBytes + tokens.size() * sizeof(uint16_t), 0);
  const int32_t header[3] = {kTokenShardMagic, kTokenShardVersion, static_cast<int32_t>(tokens.size())};
  std::memcpy(bytes.data(), header, sizeof(header));
  char* out = bytes.data() + kTokenShardHeaderBytes;
  for (size_t i = 0; i < tokens.size(); ++i, out += sizeof(uint16_t)) {
    if (tokens[i] < 0 || tokens[i] >= kTokenShardMaxVocabulary) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": token ", i + 1, " is ", tokens[i],
                       "; a token shard holds ids of 0 .. 65535, so the vocabulary may have 65536 at most"));
    }
    const auto token = static_cast<uint16_t>(tokens[i]);
    std::memcpy(out, &token, sizeof(token));
  }
  const std::string partial = path + ".partial";
  ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(partial, /*with_sha256=*/false));
  RETURN_IF_ERROR(file.Append(bytes.data(), bytes.size()));
  RETURN_IF_ERROR(file.Finish());
  RETURN_IF_ERROR(Rename(partial, path));
  return SyncDirectory(ParentDirectory(path));
}

}  // namespace lockstep
