#include "absl/strings/str_format.h"
#include "common/spec/message_text.h"
#include "common/spec/spec.h"
#include "xxhash.h"

namespace lockstep {

std::string SpecToYaml(const v1::JobSpec& spec) { return MessageToYaml(spec); }

std::string SpecHash(const v1::JobSpec& spec) {
  v1::JobSpec decisive = spec;
  decisive.clear_name();
  decisive.clear_workers();
  decisive.clear_priority();
  decisive.clear_checkpoint();
  const std::string text = SpecToYaml(decisive);
  return absl::StrFormat("%016x", XXH3_64bits(text.data(), text.size()));
}

}  // namespace lockstep
