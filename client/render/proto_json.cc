#include "client/render/proto_json.h"

#include "absl/strings/match.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"

namespace lockstep {

std::string ProtoJson(const google::protobuf::Message& message, bool compact) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return "{}\n";  // cannot happen: our messages have no Any and no bytes that must be text
  if (!absl::EndsWith(text, "\n")) text += "\n";
  return text;
}

}  // namespace lockstep
