#include "coordinator/server/requests.h"

namespace lockstep {

absl::Status CheckRequestSize(const google::protobuf::Message& request) {
  const size_t size = request.ByteSizeLong();
  if (size <= kMaxRequestBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      request.GetDescriptor()->name(), " is ", size, " bytes long; the limit is ", kMaxRequestBytes,
      " (4 MiB). Requests carry names and settings, not data: put the data in a file and name its path"));
}

absl::Status CheckReference(const std::string& field, const std::string& value) {
  constexpr size_t kLongest = 256;
  if (value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": is empty; expected an id or a name"));
  }
  if (value.size() > kLongest) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", value.size(), " bytes long; an id or a name has at most ", kLongest));
  }
  for (const char c : value) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": has a control character; expected an id or a name"));
    }
  }
  return absl::OkStatus();
}

}  // namespace lockstep
