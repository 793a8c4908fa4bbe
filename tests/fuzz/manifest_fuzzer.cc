// The readers of a checkpoint's manifest (also of one whose checksum is right) and of its record of samples
// over any text. What they take, they write so that it reads the same again.
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"
#include "common/audit/sample_ledger.h"
#include "common/checkpoint/durable_file.h"
#include "common/checkpoint/manifest.h"
#include "tests/fuzz/fuzz.h"

namespace {

void ReadManifest(absl::string_view text) {
  const auto manifest = lockstep::ParseManifest(text);
  if (!manifest.ok()) return;
  for (const auto& [name, file] : manifest->files) FUZZ_CHECK(lockstep::IsBaseName(name));
  const auto formatted = lockstep::FormatManifest(*manifest);
  FUZZ_CHECK(formatted.ok());
  const auto again = lockstep::ParseManifest(*formatted);
  FUZZ_CHECK(again.ok() && again->files.size() == manifest->files.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  ReadManifest(text);
  // Behind a checksum that is right, which the fuzzer could not find.
  ReadManifest(absl::StrFormat("%s,\"manifest_xxh3\":\"%016x\"}\n", text, lockstep::Xxh3(text)));
  if (const auto ledger = lockstep::SampleLedger::Parse(text); ledger.ok()) {
    const auto again = lockstep::SampleLedger::Parse(ledger->ToText());
    FUZZ_CHECK(again.ok() && again->ToText() == ledger->ToText());
  }
  return 0;
}
