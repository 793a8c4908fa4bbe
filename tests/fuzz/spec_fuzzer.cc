// The reader of job specs over any text. What it takes, it writes so that it reads the same again.
#include <cstdint>
#include <string_view>

#include "common/spec/spec.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto spec = lockstep::ParseSpec({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", "", {});
  if (!spec.ok() || !lockstep::CompleteSpec(&*spec).ok()) return 0;
  const auto again = lockstep::ParseSpec(lockstep::SpecToYaml(*spec), "again.yaml", "", {});
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(google::protobuf::util::MessageDifferencer::Equals(*spec, *again));
  lockstep::v1::JobSpec twice = *again;
  FUZZ_CHECK(lockstep::CompleteSpec(&twice).ok());
  FUZZ_CHECK(google::protobuf::util::MessageDifferencer::Equals(twice, *again));
  return 0;
}
