// The readers of a Hugging Face folder's index and config.json over any bytes.
#include <cstdint>
#include <string>
#include <string_view>

#include "common/pretrained/config.h"
#include "common/pretrained/source.h"
#include "common/spec/spec.h"
#include "tests/fuzz/fuzz.h"

namespace {

lockstep::v1::JobSpec Spec(const char* model) {
  auto spec =
      lockstep::ParseSpec(std::string("dataset: { path: x.txt }\nmodel: ") + model, "fuzz.yaml", "", {});
  FUZZ_CHECK(spec.ok() && lockstep::CompleteSpec(&*spec).ok());
  return *spec;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const gpt = new auto(Spec("{ gpt: { layers: 1, heads: 2, width: 8 } }"));
  static const auto* const llama = new auto(Spec("{ llama: { layers: 1, heads: 2, width: 8 } }"));
  static const ScratchFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  folder.Write("model.safetensors.index.json", input);
  const std::string config = folder.Write("config.json", input);
  (void)lockstep::CheckPretrainedConfig(config, gpt->model(), true);
  (void)lockstep::CheckPretrainedConfig(config, llama->model(), true);
  const auto source = lockstep::FindPretrained(folder.path());
  FUZZ_CHECK(!source.ok());  // the shards that it names are not there, whatever it says
  return 0;
}
