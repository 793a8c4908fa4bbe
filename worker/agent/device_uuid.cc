#include "worker/agent/device_uuid.h"

#include <unistd.h>
#include <xxhash.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockstep {
namespace {

std::string MachineId() {
  std::string id;
  if (std::ifstream file("/etc/machine-id"); std::getline(file, id) && !id.empty()) return id;
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

std::string CpuSlotUuid(const std::string& worker, int slot) {
  const std::string text = absl::StrCat(MachineId(), "\n", worker, "\n", slot);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return absl::StrFormat("CPU-%08x-%04x-%04x-%04x-%012x", hash.high64 >> 32, hash.high64 >> 16 & 0xffff,
                         hash.high64 & 0xffff, hash.low64 >> 48, hash.low64 & 0xffff'ffff'ffff);
}

}  // namespace lockstep
