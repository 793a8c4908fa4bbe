// The readers of IDX files and token shards over any bytes. Every element lies inside.
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/data/idx.h"
#include "common/text/token_shard.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  if (const auto array = lockstep::ParseIdx(content); array.ok()) {
    FUZZ_CHECK(lockstep::LooksLikeIdx(content));
    for (int64_t i = 0; i < array->records * array->elements; ++i) FUZZ_CHECK(std::isfinite(array->At(i)));
  }
  if (const auto shard = lockstep::TokenShard::Parse(content); shard.ok()) {
    std::vector<int32_t> tokens(static_cast<size_t>(shard->size()));
    shard->Copy(0, shard->size(), tokens.data());
    FUZZ_CHECK(shard->FirstOutside(shard->Largest() + 1) == -1);
  }
  return 0;
}
