// Any of our messages as JSON or YAML for people and scripts: field names as in the proto, enums as in
// text_names.h, a Duration as "30s", a Timestamp in RFC 3339 (UTC), int64 as numbers, map keys in order. Left
// out: unset messages and optional fields, empty text, lists and maps, unspecified enums. Plain numbers and
// bools are always there.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace lockstep {

std::string MessageToJson(const google::protobuf::Message& message);         // indented, ends with a newline
std::string MessageToCompactJson(const google::protobuf::Message& message);  // one line, without a newline
std::string MessageToYaml(const google::protobuf::Message& message);  // block style, ends with a newline

}  // namespace lockstep
