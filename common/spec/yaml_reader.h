// YAML into any protobuf message, by walking its descriptor. Fields are keys, enums as in text_names.h, a
// Duration is "30s" or "5m", the members of a oneof are keys of which at most one may appear, and null is an
// empty message. Internal to common/spec. yaml-cpp's exceptions do not leave these functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "google/protobuf/message.h"

namespace lockstep {

// Reads the document into `message`. Errors begin "file:line: field.path: ".
absl::Status ReadYaml(std::string_view yaml, std::string_view file, google::protobuf::Message* message);

// Applies one "train.epochs=5". The value is YAML and replaces what the field held; setting a member of a
// oneof replaces the other member. Errors begin "--set train.epochs=5: ".
absl::Status ApplyOverride(std::string_view text, google::protobuf::Message* message);

}  // namespace lockstep
