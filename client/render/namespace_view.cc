#include "client/render/namespace_view.h"

#include "absl/strings/str_cat.h"
#include "client/render/text.h"

namespace lockstep {
namespace {

std::string Of(const std::string& use, bool limited, const std::string& limit) {
  return limited ? absl::StrCat(use, " of ", limit) : use;
}

std::string Jobs(const v1::Namespace& space) {
  return Of(absl::StrCat(space.use().jobs()), space.quota().has_jobs(), absl::StrCat(space.quota().jobs()));
}
std::string Devices(const v1::Namespace& space) {
  return Of(absl::StrCat(space.use().devices()), space.quota().has_devices(),
            absl::StrCat(space.quota().devices()));
}
std::string Storage(const v1::Namespace& space) {
  return Of(BytesText(space.use().storage_bytes()), space.quota().has_storage_bytes(),
            BytesText(space.quota().storage_bytes()));
}

}  // namespace

std::string NamespacesView(const v1::ListNamespacesResponse& spaces) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "JOBS", "QUEUED", "DEVICES", "STORAGE"}};
  for (const v1::Namespace& space : spaces.namespaces()) {
    rows.push_back({Printable(space.name()), Jobs(space), absl::StrCat(space.use().queued_jobs()),
                    Devices(space), Storage(space)});
  }
  return TableText(rows);
}

std::string NamespaceView(const v1::Namespace& space) {
  return TableText({{"Name", Printable(space.name())},
                    {"Unfinished jobs", Jobs(space)},
                    {"Queued", absl::StrCat(space.use().queued_jobs())},
                    {"Devices in use", Devices(space)},
                    {"Checkpoints and models", Storage(space)}});
}

}  // namespace lockstep
